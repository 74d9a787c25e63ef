# SPDX-License-Identifier: Apache-2.0
"""The calls that make up a sum, so that the spans of one call can be told from those of two.

Of a run the last `CALLS_MAX` calls are remembered, as the spans of one call end close to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.run.calls import Call, Sameness, merged, sameness

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    Row = tuple[Any, ...]
    CallOf = Callable[[Row], Call]

CALLS_MAX: Final = 1_024
# What calls without tokens are found by, and replies to such.
_SILENT: Final = (None, None)
_REPLY: Final = ("reply",)


class Twice(NamedTuple):
    """A call that was known and another span of it, and what they are together."""

    one: Call
    other: Call
    both: Call


class CallLog:
    """Calls, each once. Rows of spans are kept as they are, and read when one of their calls may be among others."""

    __slots__ = ("_calls", "_ids", "_index", "_next", "_rows", "_scopes", "_size")

    def __init__(self) -> None:
        self._rows: list[tuple[CallOf, list[Row], set[str]]] = []
        self._calls: dict[int, Call] = {}
        self._next = 0
        self._size = 0
        self._ids: set[str] = set()
        # Of all calls; `None` once one of them may be the same as another of its own scope.
        self._scopes: frozenset[str] | None = frozenset()
        self._index: dict[Hashable, list[int]] | None = None

    @classmethod
    def of(cls, calls: Iterable[Call]) -> CallLog:
        """A log of these calls, which are known to be different ones."""
        log = cls()
        for call in calls:
            log._add(call)
        return log

    @property
    def size(self) -> int:
        """How many calls are remembered."""
        return self._size

    def listed(self) -> list[Call]:
        """The calls that are remembered."""
        # No generator here: what is raised in one that is being closed goes nowhere.
        calls: list[Call] = []
        for call_of, rows, _ in self._rows:
            calls += map(call_of, rows)
        calls += self._calls.values()
        return calls

    def copy(self) -> CallLog:
        """Another log of the same calls."""
        other = CallLog()
        other._rows, other._calls = self._rows[:], dict(self._calls)
        other._next, other._size = self._next, self._size
        other._ids, other._scopes = set(self._ids), self._scopes
        return other

    def takes_rows(self, scope: str, ids: set[str]) -> bool:
        """Whether none of the calls of this scope with these ids can be one of those that are known."""
        return not self._size or (self._scopes == frozenset({scope}) and self._ids.isdisjoint(ids))

    def add_rows(self, call_of: CallOf, rows: list[Row], scope: str, ids: set[str]) -> None:
        """Add calls that are known to be others than these, see `takes_rows`; `call_of` reads a row."""
        self._rows.append((call_of, rows, ids))
        self._ids |= ids
        if not self._size:
            self._scopes = frozenset((scope,))
        else:
            self._add_scopes(frozenset((scope,)))
        self._size += len(rows)
        if self._size > CALLS_MAX or len(self._ids) > 2 * CALLS_MAX:
            self._forget()

    def admit(self, other: CallLog) -> tuple[list[Twice], bool]:
        """Add further calls: which of them were known, and whether others of them may have been."""
        if self._is_apart_from(other):
            self._take(other)
            return [], False
        twice: list[Twice] = []
        is_doubtful = False
        for call in other.listed():
            number, found = self._find(call)
            is_doubtful = is_doubtful or found in (Sameness.DOUBTFUL_ONE, Sameness.DOUBTFUL_TWO)
            if number is None:
                self._add(call)
                continue
            known = self._calls[number]
            twice.append(Twice(known, call, merged(known, call)))
            self._put(number, twice[-1].both)
        return twice, is_doubtful

    def join(self, other: CallLog) -> None:
        """Add calls that are known to be others than these."""
        for call in other.listed():
            self._add(call)

    def _is_apart_from(self, other: CallLog) -> bool:
        if not self._size or not other._size:
            return True
        scopes = self._scopes
        same_scope = scopes is not None and len(scopes) == 1 and scopes == other._scopes
        return same_scope and self._ids.isdisjoint(other._ids)

    def _take(self, other: CallLog) -> None:
        if not other._size:
            return
        self._rows += other._rows
        for call in other._calls.values():
            self._add(call)
        self._size += other._size - len(other._calls)
        self._ids |= other._ids
        self._scopes = other._scopes if self._scopes is not None else None
        self._forget()

    def _find(self, call: Call) -> tuple[int | None, Sameness]:
        index = self._spelled_out()
        doubtful = Sameness.TWO
        waiting = (_SILENT,) if call.is_reply else (_REPLY,) if call.lacks_usage else ()
        for key in (*waiting, *_keys(call)):
            for number in index.get(key, ()):
                known = self._calls.get(number)
                found = Sameness.TWO if known is None else sameness(known, call)
                if found in (Sameness.ONE, Sameness.DOUBTFUL_ONE):
                    return number, found
                doubtful = found if found is Sameness.DOUBTFUL_TWO else doubtful
        return None, doubtful

    def _spelled_out(self) -> dict[Hashable, list[int]]:
        """The numbers of the calls by their ids and by their tokens."""
        if self._rows:
            calls = self.listed()
            self._rows, self._calls, self._index = [], {}, None
            self._next = len(calls)
            self._calls = dict(enumerate(calls))
        if self._index is None:
            self._index = {}
            for number, call in self._calls.items():
                _enter(self._index, number, call)
        return self._index

    def _add(self, call: Call) -> None:
        self._put(self._next, call)
        self._next += 1
        self._size += 1
        self._forget()

    def _put(self, number: int, call: Call) -> None:
        self._calls[number] = call
        if self._index is not None:
            _enter(self._index, number, call)
        self._ids |= call.ids
        self._add_scopes(call.scopes if call.is_model_call else None)

    def _add_scopes(self, scopes: frozenset[str] | None) -> None:
        self._scopes = None if scopes is None or self._scopes is None else self._scopes | scopes

    def _forget(self) -> None:
        while self._size > CALLS_MAX and self._rows:
            self._size -= len(self._rows.pop(0)[1])
        while self._size > CALLS_MAX:
            del self._calls[next(iter(self._calls))]
            self._size -= 1
        if len(self._ids) > 2 * CALLS_MAX:
            self._ids = set().union(*[ids for _, _, ids in self._rows], *[call.ids for call in self._calls.values()])


def _keys(call: Call) -> tuple[Hashable, ...]:
    return (*call.ids, call.counts, _REPLY) if call.is_reply else (*call.ids, call.counts)


def _enter(index: dict[Hashable, list[int]], number: int, call: Call) -> None:
    for key in _keys(call):
        index.setdefault(key, []).append(number)

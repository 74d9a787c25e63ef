# SPDX-License-Identifier: Apache-2.0
"""Exact running sums of everything posted, with bounded attribute sets.

Why not SDK counters: sums of doubles drift (100,000 x 0.1 is not 10000), an add costs ten times as much, and a forked
child inherits them and counts twice. Pure data under one lock; reading it out as observable counters is the sink's job.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.money import EXACT
from agent_outcomes.record import OTHER_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from agent_outcomes.record import LabelValue, Posting
    from agent_outcomes.semconv import Instrument

SETS_MAX: Final = 1000
# Past the first mark free text is folded into _OTHER, past the second every label but the few-valued ones, or, of an
# amount, every label but its currency: amounts of several currencies have no sum. What is left above it (status x
# retryable x source, status x type x success, kinds; 173 currencies) fits below SETS_MAX, so that the SDK's own
# overflow set, which loses all labels at once, is never reached.
FREE_TEXT_SETS_MAX: Final = 600
FOLDED_SETS_MAX: Final = 800
TEXTS_MAX: Final[Mapping[str, int]] = {
    semconv.GEN_AI_AGENT_NAME: 100,
    semconv.AGENT_OUTCOME_JOB_TYPE: 50,
    semconv.AGENT_OUTCOME_LABEL: 50,
    semconv.AGENT_OUTCOMES_FIELD: 50,
    semconv.ERROR_TYPE: 50,
}
_FEW_VALUED: Final = frozenset(
    {
        semconv.AGENT_OUTCOME_STATUS,
        semconv.AGENT_OUTCOME_RETRYABLE,
        semconv.AGENT_OUTCOME_SOURCE,
        semconv.AGENT_OUTCOME_TYPE,
        semconv.AGENT_OUTCOME_SUCCESS,
        semconv.AGENT_COST_KIND,
        semconv.GEN_AI_TOKEN_TYPE,
        semconv.AGENT_OUTCOMES_PROBLEM,
        semconv.AGENT_OUTCOMES_SIGNAL,
    },
)

_CURRENCIES: Final = frozenset({semconv.AGENT_OUTCOME_CURRENCY, semconv.AGENT_OUTCOME_COST_CURRENCY})

Labels = tuple["LabelValue", ...]
_add: Final = EXACT.add


class LabelLimits:
    """Which label values and attribute sets an instrument may still open: first come, first kept.

    Not thread-safe; its owner's lock guards it.
    """

    __slots__ = ("_sets", "_texts", "_texts_max")

    def __init__(self, texts_max: Mapping[str, int] | None = None) -> None:
        self._texts_max = {**TEXTS_MAX, **(texts_max or {})}
        self._texts: dict[str, set[str]] = {key: set() for key in self._texts_max}
        self._sets: dict[str, set[Labels]] = {}

    def bound(self, instrument: Instrument, labels: Labels) -> Labels:
        """The labels under which these may be counted; unchanged while there is room."""
        sets = self._sets.setdefault(instrument.name, set())
        if labels in sets:
            return labels
        keys = instrument.attributes
        bounded = tuple(self._bound_text(key, value) for key, value in zip(keys, labels, strict=True))
        if bounded not in sets and len(sets) >= FREE_TEXT_SETS_MAX:
            bounded = tuple(map(_fold_text, keys, bounded))
            if bounded not in sets and len(sets) >= FOLDED_SETS_MAX:
                kept = _CURRENCIES if not _CURRENCIES.isdisjoint(keys) else _FEW_VALUED
                # Absent values fold as well: present or absent would double the number of sets with every label.
                bounded = tuple(value if key in kept else OTHER_TEXT for key, value in zip(keys, bounded, strict=True))
        sets.add(bounded)
        return bounded

    def emptied(self) -> LabelLimits:
        """The same limits with nothing counted yet."""
        return LabelLimits(self._texts_max)

    def _bound_text(self, key: str, value: LabelValue) -> LabelValue:
        texts = self._texts.get(key)
        if texts is None or not isinstance(value, str) or value in texts:
            return value
        if len(texts) >= self._texts_max[key]:
            return OTHER_TEXT
        texts.add(value)
        return value


class Totals:
    """Exact sums per instrument and attribute set. Thread-safe; a posting costs about a microsecond."""

    def __init__(self, limits: LabelLimits | None = None) -> None:
        self._limits = limits or LabelLimits()
        self.restart()

    def restart(self) -> None:
        """Begin anew from nothing, with a new lock: for a forked child, whose parent keeps what was counted."""
        self._lock = threading.Lock()
        self._limits = self._limits.emptied()
        self._cells: dict[str, dict[Labels, list[Decimal | int]]] = {}

    def post(self, postings: Iterable[Posting]) -> None:
        """Add every posting. Amounts are ints or exact decimals and never negative."""
        self._lock.acquire()
        try:
            all_cells = self._cells
            for instrument, labels, amount in postings:
                cells = all_cells.get(instrument.name)
                cell = cells.get(labels) if cells is not None else None
                if cell is None:
                    cell = self._open_cell(instrument, labels)
                total = cell[0]
                # int + int and the exact context keep every digit; plain Decimal addition would round at 28.
                cell[0] = total + amount if type(total) is int and type(amount) is int else _add(total, amount)
        finally:
            self._lock.release()

    def bound(self, instrument: Instrument, labels: Labels) -> Labels:
        """The labels to use for a measurement that is recorded elsewhere (the duration histogram)."""
        with self._lock:
            return self._limits.bound(instrument, labels)

    def sums(self, instrument: Instrument) -> list[tuple[Labels, Decimal | int]]:
        """A snapshot of one instrument's attribute sets and their exact sums."""
        with self._lock:
            return [(labels, cell[0]) for labels, cell in self._cells.get(instrument.name, {}).items()]

    def _open_cell(self, instrument: Instrument, labels: Labels) -> list[Decimal | int]:
        bounded = self._limits.bound(instrument, labels)
        return self._cells.setdefault(instrument.name, {}).setdefault(bounded, [0])


def _fold_text(key: str, value: LabelValue) -> LabelValue:
    return OTHER_TEXT if key in TEXTS_MAX and value is not None else value

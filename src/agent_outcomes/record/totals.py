# SPDX-License-Identifier: Apache-2.0
"""Exact running sums of everything posted, with bounded attribute sets.

Why not SDK counters: sums of doubles drift (100,000 x 0.1 is not 10000), an add costs ten times as much, and a forked
child inherits them and counts twice. Pure data; reading it out as observable counters is the sink's job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.record.record import OTHER_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from agent_outcomes.record.record import LabelValue, PlainPosting
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

BATCH_MAX: Final = 64
_CURRENCIES: Final = frozenset({semconv.AGENT_OUTCOME_CURRENCY, semconv.AGENT_OUTCOME_COST_CURRENCY})

Labels = tuple["LabelValue", ...]
Cells = dict[str, dict[Labels, "Decimal | int"]]
# What a batch adds to is held by lists of one, so that each posting looks its labels up once.
OpenSums = dict[Labels, list["Decimal | int"]]
_add: Final = EXACT.add


class LabelLimits:
    """Which label values and attribute sets an instrument may still open: first come, first kept.

    Two threads that come with the last free places at once may both be given one.
    """

    __slots__ = ("_sets", "_texts", "_texts_max")

    def __init__(self, texts_max: Mapping[str, int] | None = None, texts: dict[str, set[str]] | None = None) -> None:
        self._texts_max = {**TEXTS_MAX, **(texts_max or {})}
        self._texts = {key: set() for key in self._texts_max} if texts is None else texts
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

    def restore(self, instrument: Instrument, labels: Labels) -> None:
        """Take labels that have been bounded and counted before, in the order in which they were."""
        self._sets.setdefault(instrument.name, set()).add(labels)
        for key, value in zip(instrument.attributes, labels, strict=True):
            texts = self._texts.get(key)
            if texts is not None and isinstance(value, str) and value != OTHER_TEXT:
                texts.add(value)

    def beside(self) -> LabelLimits:
        """Limits with the same label values, for attribute sets that are exported apart from these."""
        return LabelLimits(self._texts_max, self._texts)

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


class Postings:
    """What one settlement posts, once: `is_posted` tells whether it has been."""

    __slots__ = ("is_posted", "postings")

    def __init__(self, postings: Sequence[PlainPosting]) -> None:
        self.postings = postings
        self.is_posted = False


class Totals:
    """Exact sums per instrument and attribute set.

    Nothing here waits, as of `moves`: postings are put down by one step, and added up when somebody asks or `BATCH_MAX`
    have come together, in a copy that then takes the place of what it was made of. A posting costs less than a
    microsecond.
    """

    def __init__(self, limits: LabelLimits | None = None) -> None:
        self._limits = limits or LabelLimits()
        self.restart()

    def restart(self) -> None:
        """Begin anew from nothing: for a forked child, whose parent keeps what was counted."""
        self._limits = self._limits.emptied()
        self._cells: Cells = {}
        self.posted: list[Sequence[PlainPosting]] = []

    def post(self, postings: Sequence[PlainPosting]) -> None:
        """Add every posting. Amounts are ints or exact decimals and never negative."""
        self.posted.append(postings)
        if len(self.posted) >= BATCH_MAX:
            self._add_up()

    def post_once(self, posted: Postings) -> None:
        """Add the postings, however often it is called for them."""
        _put_down(self.posted, posted)
        if len(self.posted) >= BATCH_MAX:
            self._add_up()

    def all_of(self, instruments: Iterable[Instrument]) -> Postings:
        """What these instruments have counted so far, to be posted elsewhere."""
        sums = [(instrument, self.sums(instrument)) for instrument in instruments]
        return Postings([(instrument, labels, amount) for instrument, rows in sums for labels, amount in rows])

    def bound(self, instrument: Instrument, labels: Labels) -> Labels:
        """The labels to use for a measurement that is recorded elsewhere (the duration histogram)."""
        return self._limits.bound(instrument, labels)

    def sums(self, instrument: Instrument) -> list[tuple[Labels, Decimal | int]]:
        """A snapshot of one instrument's attribute sets and their exact sums, in the order of their first posting."""
        self._add_up()
        return list(self._cells.get(instrument.name, {}).items())

    def _add_up(self) -> None:
        while self.posted:
            cells, posted = self._cells, self.posted
            batches = posted[:]
            opened: dict[str, OpenSums] = {}
            for postings in batches:
                self._add(postings, opened, cells)
            whole = {**cells, **{name: _with(cells.get(name, {}), sums) for name, sums in opened.items()}}
            if self._replace(cells, posted, slice(0, len(batches)), whole):
                return

    def _add(self, postings: Sequence[PlainPosting], opened: dict[str, OpenSums], cells: Cells) -> None:
        """Add postings to the sums in `opened`, which begin where those in `cells` stand."""
        for instrument, labels, amount in postings:
            name = instrument.name
            sums = opened.get(name)
            if sums is None:
                sums = opened[name] = {}
            one = sums.get(labels)
            if one is None:
                one = self._open(instrument, labels, sums, cells.get(name, {}))
            total = one[0]
            # int + int and the exact context keep every digit; plain Decimal addition would round at 28.
            one[0] = total + amount if type(total) is int and type(amount) is int else _add(total, amount)

    def _open(
        self,
        instrument: Instrument,
        labels: Labels,
        sums: OpenSums,
        before: Mapping[Labels, Decimal | int],
    ) -> list[Decimal | int]:
        if labels not in before:
            labels = self._limits.bound(instrument, labels)
        return sums.setdefault(labels, [before.get(labels, 0)])

    def _replace(self, cells: Cells, posted: list[Sequence[PlainPosting]], cut: slice, whole: Cells) -> bool:
        # A move, as of `moves`.
        if self._cells is not cells:
            return False
        self._cells = whole
        del posted[cut]
        return True


def as_attributes(instrument: Instrument, labels: Labels) -> dict[str, str | bool]:
    """Labels under their names, without those that are absent."""
    pairs = zip(instrument.attributes, labels, strict=True)
    return {key: value for key, value in pairs if value is not None}


def _put_down(posted: list[Sequence[PlainPosting]], new: Postings) -> None:
    # A move, as of `moves`: the mark and the posting are made together.
    if not new.is_posted:
        new.is_posted = True
        posted.append(new.postings)


def _with(before: Mapping[Labels, Decimal | int], opened: OpenSums) -> dict[Labels, Decimal | int]:
    sums = dict(before)
    for labels, (total,) in opened.items():
        sums[labels] = total
    return sums


def _fold_text(key: str, value: LabelValue) -> LabelValue:
    return OTHER_TEXT if key in TEXTS_MAX and value is not None else value

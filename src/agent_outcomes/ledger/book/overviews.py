# SPDX-License-Identifier: Apache-2.0
"""What the standing revisions of many runs come to: counts by time, agent, type and label, and exact money. Pure.

Free texts are bounded: of each kind the first ones are kept apart, and the rest counts together as `_OTHER`.
"""

from __future__ import annotations

from collections import Counter
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from agent_outcomes.ledger.book.content import ContentError, maybe, text_of
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.record.record import OTHER_TEXT
from agent_outcomes.semconv import OutcomeType, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_Key = TypeVar("_Key", bound=tuple[Any, ...])
_Sum = TypeVar("_Sum")

AGENTS_SHOWN_MAX: Final = 100
TEXTS_SHOWN_MAX: Final = 50
"""Of job types, labels and error categories."""
_NS: Final = 1_000_000_000
_NONE: Final = Decimal(0)
_RATIO: Final = Context(prec=28)
_CLEAN: Final = Status.SUCCESS.value


class StandingFacts(NamedTuple):
    """What an overview needs to know of a run and what stands of it."""

    end_ns: int
    agent: str | None
    job_type: str | None
    status: str
    retryable: bool
    category: str | None
    type: OutcomeType | None
    success: bool | None
    label: str | None
    worth: tuple[str, Decimal] | None
    costs: tuple[tuple[str, Decimal], ...]

    @property
    def is_reported(self) -> bool:
        """Whether a business result is stated."""
        return any(said is not None for said in (self.success, self.type, self.label, self.worth))


class RateBucket(NamedTuple):
    """An agent's runs that ended in a step of time; `successes` are the reported outcomes that met their goal."""

    start_ns: int
    agent: str | None
    runs: int
    reported: int
    successes: int


class OutcomeCount(NamedTuple):
    """Reported outcomes of a type and label."""

    type: OutcomeType | None
    label: str | None
    outcomes: int


class JobMoney(NamedTuple):
    """A kind of job in one currency: what its outcomes were worth, and what all its runs cost.

    `runs` and `outcomes` are all of that kind of job, whatever their currency.
    """

    job_type: str | None
    currency: str
    runs: int
    outcomes: int
    value: Decimal
    cost: Decimal

    @property
    def ratio(self) -> Decimal | None:
        """Value over cost; `None` where nothing was spent."""
        return _RATIO.divide(self.value, self.cost) if self.cost else None


class OutcomeCost(NamedTuple):
    """What the runs behind reported outcomes of a type and label cost; `outcomes` are those with a known cost."""

    type: OutcomeType | None
    label: str | None
    currency: str
    outcomes: int
    cost: Decimal

    @property
    def average(self) -> Decimal:
        """The cost of one outcome."""
        return _RATIO.divide(self.cost, self.outcomes)


class RetryableFailures(NamedTuple):
    """Runs that could succeed if they were run again, by why they did not."""

    agent: str | None
    category: str | None
    runs: int


class Money(NamedTuple):
    """All value and all cost in one currency."""

    currency: str
    value: Decimal
    cost: Decimal


class Overview(NamedTuple):
    """What the runs of a range of time come to.

    `clean` ended with the status success, and `converted` and `deflected` are among those. `step_s` is how long each
    bucket is. Of `pruned` runs only their number is left. If `is_partial` there were more runs than are looked at, and
    these are the last that ended.
    """

    runs: int
    clean: int
    reported: int
    pending: int
    successes: int
    converted: int
    deflected: int
    pruned: int
    step_s: int
    buckets: tuple[RateBucket, ...]
    outcomes: tuple[OutcomeCount, ...]
    jobs: tuple[JobMoney, ...]
    costs: tuple[OutcomeCost, ...]
    retryable: tuple[RetryableFailures, ...]
    money: tuple[Money, ...]
    is_partial: bool


class OverviewSums:
    """Adds runs up, one after the other."""

    def __init__(self, step_s: int) -> None:
        self._step_s = step_s
        self._step_ns = step_s * _NS
        self._agents = _Kept(AGENTS_SHOWN_MAX)
        self._jobs = _Kept(TEXTS_SHOWN_MAX)
        self._labels = _Kept(TEXTS_SHOWN_MAX)
        self._categories = _Kept(TEXTS_SHOWN_MAX)
        self._counts: Counter[str] = Counter()
        self._buckets: dict[tuple[int, str | None], list[int]] = {}
        self._outcomes: Counter[tuple[OutcomeType | None, str | None]] = Counter()
        self._job_runs: Counter[str | None] = Counter()
        self._job_outcomes: Counter[str | None] = Counter()
        self._job_money: dict[tuple[str | None, str], tuple[Decimal, Decimal]] = {}
        self._costs: dict[tuple[OutcomeType | None, str | None, str], tuple[int, Decimal]] = {}
        self._retryable: Counter[tuple[str | None, str | None]] = Counter()

    def add(self, run: StandingFacts) -> None:
        """Count a run."""
        agent, job = self._agents.of(run.agent), self._jobs.of(run.job_type)
        is_reported, is_clean = run.is_reported, run.status == _CLEAN
        self._counts.update(_kinds(run))
        bucket = self._buckets.setdefault((run.end_ns // self._step_ns, agent), [0, 0, 0])
        for place, is_one in enumerate((True, is_reported, run.success is True)):
            bucket[place] += is_one
        self._job_runs[job] += 1
        if run.retryable and not is_clean:
            self._retryable[agent, self._categories.of(run.category)] += 1
        if is_reported:
            self._add_outcome(run, job)
        self._add_money(run, job)

    def add_pruned(self) -> None:
        """Count a run of which nothing but that is left."""
        self._counts["pruned"] += 1

    def _add_outcome(self, run: StandingFacts, job: str | None) -> None:
        label = self._labels.of(run.label)
        self._outcomes[run.type, label] += 1
        self._job_outcomes[job] += 1
        for currency, amount in run.costs:
            count, cost = self._costs.get((run.type, label, currency), (0, _NONE))
            self._costs[run.type, label, currency] = count + 1, EXACT.add(cost, amount)

    def _add_money(self, run: StandingFacts, job: str | None) -> None:
        if run.worth is not None:
            currency, amount = run.worth
            value, cost = self._job_money.get((job, currency), (_NONE, _NONE))
            self._job_money[job, currency] = EXACT.add(value, amount), cost
        for currency, amount in run.costs:
            value, cost = self._job_money.get((job, currency), (_NONE, _NONE))
            self._job_money[job, currency] = value, EXACT.add(cost, amount)

    def overview(self, *, is_partial: bool) -> Overview:
        """What was counted, in a settled order."""
        counts = self._counts
        return Overview(
            runs=counts["runs"],
            clean=counts["clean"],
            reported=counts["reported"],
            pending=counts["pending"],
            successes=counts["successes"],
            converted=counts["converted"],
            deflected=counts["deflected"],
            pruned=counts["pruned"],
            step_s=self._step_s,
            buckets=tuple(
                RateBucket(step * self._step_ns, agent, *figures) for (step, agent), figures in _in_order(self._buckets)
            ),
            outcomes=tuple(OutcomeCount(*key, count) for key, count in _in_order(self._outcomes)),
            jobs=tuple(self._jobs_money()),
            costs=tuple(OutcomeCost(*key, *sums) for key, sums in _in_order(self._costs)),
            retryable=tuple(RetryableFailures(*key, count) for key, count in _in_order(self._retryable)),
            money=tuple(self._money()),
            is_partial=is_partial,
        )

    def _jobs_money(self) -> Iterator[JobMoney]:
        for (job, currency), sums in _in_order(self._job_money):
            yield JobMoney(job, currency, self._job_runs[job], self._job_outcomes[job], *sums)

    def _money(self) -> Iterator[Money]:
        sums: dict[tuple[str], tuple[Decimal, Decimal]] = {}
        for (_, currency), (value, cost) in self._job_money.items():
            before = sums.get((currency,), (_NONE, _NONE))
            sums[currency,] = EXACT.add(before[0], value), EXACT.add(before[1], cost)
        for (currency,), (value, cost) in _in_order(sums):
            yield Money(currency, value, cost)


class _Kept:
    """The texts of a kind that are kept apart."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._texts: set[str] = set()

    def of(self, text: str | None) -> str | None:
        """The text to count under."""
        if text is None or text in self._texts:
            return text
        if len(self._texts) >= self._count_max:
            return OTHER_TEXT
        self._texts.add(text)
        return text


def standing_facts(end_ns: int, fields: Mapping[str, Any]) -> StandingFacts:
    """What the decoded content of a run's standing revision says. Raises `ContentError` for what is no content."""
    try:
        return _facts(end_ns, fields["run"], fields["outcome"])
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        message = "this is not the content of a revision"
        raise ContentError(message) from error


def _facts(end_ns: int, run: Mapping[str, Any], outcome: Mapping[str, Any]) -> StandingFacts:
    value = maybe(Decimal, outcome.get("value"))
    return StandingFacts(
        end_ns,
        text_of(run.get("agent_name")),
        text_of(run.get("job_type")),
        outcome["status"],
        outcome.get("retryable") is True,
        text_of(outcome.get("error_category")),
        maybe(OutcomeType, outcome.get("type")),
        outcome.get("business_success"),
        text_of(outcome.get("label")),
        None if value is None else (text_of(outcome.get("currency", DEFAULT_CURRENCY)), value),
        _by_currency(run.get("cost", ())),
    )


def _by_currency(parts: Iterable[tuple[str, Any, str]]) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    for _, code, amount in parts:
        currency = text_of(code)
        sums[currency] = EXACT.add(sums.get(currency, _NONE), Decimal(amount))
    return tuple(sums.items())


def _kinds(run: StandingFacts) -> Iterator[str]:
    """The names of the counts that the run is in."""
    yield "runs"
    yield "reported" if run.is_reported else "pending"
    if run.success is True:
        yield "successes"
    if run.status == _CLEAN:
        yield "clean"
        if run.type in {OutcomeType.CONVERTED, OutcomeType.DEFLECTED}:
            yield str(run.type)


def _in_order(sums: Mapping[_Key, _Sum]) -> list[tuple[_Key, _Sum]]:
    """By key, what is absent first."""
    return sorted(sums.items(), key=lambda item: tuple((part is not None, part) for part in item[0]))

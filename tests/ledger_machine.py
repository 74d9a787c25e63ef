# SPDX-License-Identifier: Apache-2.0
"""A Hypothesis machine that gives the same runs and reports to a ledger and to the model of one, and compares them."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent_outcomes import semconv
from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.book.reports import LateCost, Reporter
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from tests.ledger_model import HOUR_NS, Answer, Model, ModelRun, Result, Said, Target, Who

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.ledger.book.reports import LateReport
    from tests.ledger_systems import System

# Reports are made in the past, so that a store, which joins by its own clock, finds the short holds expired.
STARTED_NS: Final = 1_600_000_000_000_000_000
NEVER_S: Final = 10.0**9
FAR_NS: Final = 2_000_000_000_000_000_000
SHORT_HOLD_S: Final = 3600.0
RUNS_MAX: Final = 6
_sequences: Final = count(1)

# As it is said, and what it means.
TYPES: Final = st.sampled_from(
    [(None, None), ("won", "converted"), ("CONVERTED", "converted"), ("handoff", "escalated"), ("lost", "unsuccessful")]
)
SUCCESSES: Final = st.sampled_from([(None, None), (None, None), (True, True), ("false", False)])
LABELS: Final = st.sampled_from([None, None, "sold", "späte Zusage", "x\x00y"])
AMOUNTS: Final = st.sampled_from(["50", "50.00", "5e1", "0", "0.1", "0.000000000001", "999999999999999.999999999999"])
VALUES: Final = st.none() | AMOUNTS | st.just("-12.5") | st.decimals(-1000, 1000, places=4).map(str)
CURRENCIES: Final = st.sampled_from([(None, "USD"), ("USD", "USD"), ("eur", "EUR"), ("KWD", "KWD")])
KINDS: Final = st.sampled_from([(None, "other"), ("human", "human"), ("MODEL", "llm"), ("tool", "tool")])
REASONS: Final = st.sampled_from([None, "typed wrong"])
WHOS: Final = st.sampled_from(
    [
        Who(),
        Who("crm"),
        Who("auditor", None, corrects=True),
        Who("sales-key", frozenset({"sales"})),
        Who("support-key", frozenset({"support", "else"}), corrects=True),
    ]
)
HOLDS: Final = st.sampled_from([0, SHORT_HOLD_S, NEVER_S])
REVISIONS: Final = st.sampled_from([None, None, None, 0, 1, 2])
KEYS: Final = st.sampled_from([None] * 6 + ["k1", "k2", "k3"])
TARGETS: Final = st.tuples(
    st.sampled_from(["outcome_id", "trace_id", "run_id", "run_id"]), st.integers(0, RUNS_MAX - 1), st.booleans()
)
NUMBERS: Final = st.integers(0, RUNS_MAX - 1)
STATUSES: Final[dict[str, Callable[..., Outcome]]] = {
    "success": Outcome.success,
    "timeout": Outcome.timeout,
    "failure": Outcome.failure,
}


@st.composite
def results(draw: st.DrawFn) -> tuple[dict[str, Any], Result]:
    """A business result, in keywords and in the model's words."""
    type_, success, label, value = draw(TYPES), draw(SUCCESSES), draw(LABELS), draw(VALUES)
    currency = draw(CURRENCIES)
    given = {"type": type_[0], "success": success[0], "label": label, "value": value, "currency": currency[0]}
    meant = Result(type_[1], success[1], label, None if value is None else Decimal(value), currency[1])
    return {key: said for key, said in given.items() if said is not None}, meant


RESULTS: Final = results()
COSTS: Final = st.dictionaries(st.tuples(KINDS, CURRENCIES), AMOUNTS, max_size=2)
ENDS: Final = st.tuples(
    st.sampled_from(sorted(STATUSES)),
    st.just(({}, Result())) | RESULTS,
    COSTS,
    st.integers(0, 9),
    st.none() | st.integers(0, 2**53),
)
"""How a run ends: status, result, costs, how long before the first report, tokens."""


class LedgerMachine(RuleBasedStateMachine):
    """Drives a ledger; a subclass says which."""

    has_begun = False
    told: ClassVar[Counter[str]] = Counter()
    """How often which answer was given, over all sequences."""

    def open_system(self, policy: Policy) -> System:
        """The ledger for a sequence of this machine; it may have runs of other sequences in it."""
        raise NotImplementedError

    @initialize(policy=st.sampled_from(Policy), ended=st.lists(st.tuples(NUMBERS, ENDS), max_size=RUNS_MAX))
    def begin(self, policy: Policy, ended: list[Any]) -> None:
        """A ledger that some runs have ended in."""
        self.sequence = next(_sequences)
        self.system = self.open_system(policy)
        self.model = Model(policy.value)
        self.now_ns = STARTED_NS
        self.acceptances: dict[int, Acceptance] = {}
        self.past: list[tuple[LateReport | LateCost, Said, float]] = []
        self.services = (f"shop {self.sequence}", f"desk {self.sequence}")
        self.has_begun = True
        for number, end in ended:
            self._end({number: end})

    @rule(number=NUMBERS, end=ENDS)
    def accept(self, number: int, end: Any) -> None:
        """A run ends; once there, it is the same one, given once more."""
        self._end({number: end})

    @rule(ended=st.dictionaries(NUMBERS, ENDS, min_size=2, max_size=3))
    def accept_group(self, ended: dict[int, Any]) -> None:
        """Runs end at the same time; they are taken in the order of their ids, whatever the order of the group."""
        self._end(ended)

    @rule(first=NUMBERS, second=NUMBERS)
    @precondition(lambda self: self.acceptances)
    def accept_again(self, first: int, second: int) -> None:
        """Runs that are there, in one group and twice in it."""
        again = [self.acceptances[number] for number in (first, second, first) if number in self.acceptances]
        self.system.accept(again)

    @rule(number=NUMBERS, costs=COSTS)
    def pause(self, number: int, costs: Any) -> None:
        """A run waits for a human; its id is one of its own."""
        run = self._run(number + RUNS_MAX, costs, 0, 7)
        outcome = Outcome.success()
        service = self._resource(number)
        self.system.accept([Acceptance(run, outcome, record(run, outcome), resource=service, paused=True)])
        self.model.pause(self._model_run(run, number, "success", Result()), FAR_NS)

    @rule(number=NUMBERS, result=RESULTS)
    @precondition(lambda self: self.acceptances)
    def state_again(self, number: int, result: Any) -> None:
        """The run's own process states its result once more, after it has been counted."""
        given, meant = result
        if number not in self.acceptances:
            return
        acceptance = self.acceptances[number]
        revised = STATUSES[acceptance.outcome.status.value](**given)
        self.system.accept([acceptance._replace(revised=revised)])
        self.model.state_again(acceptance.run.id, meant)

    @rule(named=TARGETS, result=RESULTS, who=WHOS, reason=REASONS, key=KEYS, revision=REVISIONS, hold_s=HOLDS)
    def report(self, *, named: Any, result: Any, who: Who, reason: Any, key: Any, revision: Any, hold_s: float) -> None:
        """Somebody states a result later."""
        given, meant = result
        naming, target = self._target(*named)
        if not meant.is_known:
            given, meant = {"label": "sold"}, Result(label="sold")
        keywords = {**naming, **given, "reason": reason, "idempotency_key": self._key(key), "if_revision": revision}
        said = Said(target, who, meant, reason=reason, key=self._key(key), on_revision=revision)
        self._say(read_report(_reporter(who), **keywords), said, hold_s)

    @rule(named=TARGETS, who=WHOS, reason=REASONS, key=KEYS, revision=REVISIONS, hold_s=HOLDS)
    def retract(self, *, named: Any, who: Who, reason: Any, key: Any, revision: Any, hold_s: float) -> None:
        """Somebody takes the result back."""
        naming, target = self._target(*named)
        keywords = {**naming, "reason": reason, "idempotency_key": self._key(key), "if_revision": revision}
        said = Said(target, who, reason=reason, key=self._key(key), on_revision=revision)
        self._say(read_report(_reporter(who), retract=True, **keywords), said, hold_s)

    @rule(named=TARGETS, amount=AMOUNTS, currency=CURRENCIES, kind=KINDS, who=WHOS, key=KEYS, hold_s=HOLDS)
    def cost(self, *, named: Any, amount: str, currency: Any, kind: Any, who: Who, key: Any, hold_s: float) -> None:
        """A cost arises later."""
        naming, target = self._target(*named)
        keywords = {**naming, "currency": currency[0], "kind": kind[0], "idempotency_key": self._key(key)}
        said = Said(target, who, None, Decimal(amount), currency[1], kind[1], key=self._key(key))
        self._say(read_cost(_reporter(who), amount=amount, **keywords), said, hold_s)

    @rule(index=st.integers(0, 99))
    @precondition(lambda self: self.past)
    def say_again(self, index: int) -> None:
        """A client that has not heard the answer tries again."""
        report, said, hold_s = self.past[index % len(self.past)]
        self._say(report, said, hold_s)

    @rule(hours=st.sampled_from([0.5, 2, 23, 25]))
    def wait(self, hours: float) -> None:
        """Time goes by for those who report."""
        self.now_ns += round(hours * HOUR_NS)

    @invariant()
    def both_have_the_same(self) -> None:
        """Every run's revisions and what stands, and every total to the last digit."""
        if not self.has_begun:
            return
        found, sums = self.system.state(self.model.runs.keys(), self.services)
        assert found.keys() == self.model.runs.keys()
        for run in self.model.runs.values():
            stands = found[run.id]
            costs = sorted((kind, currency, amount) for (kind, currency), amount in run.costs.items())
            assert stands[:3] == (tuple(run.changes), run.result.meaning, tuple(costs)), run.id
            times = zip(stands.times_ns[1:], run.times_ns, strict=True)
            assert [(have, want) for have, want in times if want not in (have, None)] == []
        assert sums == self.model.sums

    def _end(self, ended: dict[int, Any]) -> None:
        new = [self._acceptance(number, end) for number, end in ended.items() if number not in self.acceptances]
        self.model.accept(sorted((run for _, _, run in new), key=lambda run: run.id), FAR_NS)
        self.acceptances |= {number: acceptance for number, acceptance, _ in new}
        self.system.accept([self.acceptances[number] for number in ended])

    def _acceptance(self, number: int, end: Any) -> tuple[int, Acceptance, ModelRun]:
        status, (given, meant), costs, ended, tokens = end
        run = self._run(number, costs, ended, tokens)
        outcome = STATUSES[status](**given)
        acceptance = Acceptance(run, outcome, record(run, outcome), resource=self._resource(number))
        return number, acceptance, self._model_run(run, number, status, meant)

    def _say(self, report: LateReport | LateCost, said: Said, hold_s: float) -> None:
        self.past.append((report, said, hold_s))
        answer = _told(self.system, report, self.now_ns, hold_s)
        assert answer == self.model.hear(said, self.now_ns, hold_s)
        self.told[f"{answer.word} again" if answer.repeated else answer.word] += 1

    def _target(self, by: str, number: int, latest: bool) -> tuple[dict[str, Any], Target]:  # noqa: FBT001 - drawn
        run = self._run(number, {}, 0, None)
        names = {
            "outcome_id": run.id,
            "trace_id": f"{run.trace_id:032x}",
            "run_id": run.run_id or f"nobody's {self.sequence}",
        }
        # Of one outcome there are no several.
        is_latest = latest and by != "outcome_id"
        given: dict[str, Any] = {by: names[by], "run": "latest" if is_latest else None}
        return given, Target(by, names[by], is_latest)

    def _key(self, key: str | None) -> str | None:
        return None if key is None else f"{key} of {self.sequence}"

    def _resource(self, number: int) -> ResourceFacts:
        return ResourceFacts(self.services[number % 2], None, "test", (("service.name", self.services[number % 2]),))

    def _run(self, number: int, costs: Any, ended: int, tokens: int | None) -> Run:
        """Two runs have one trace, three have one key, and one has none."""
        parts: dict[tuple[str, str], Decimal] = {}
        for ((_, kind), (_, currency)), amount in costs.items():
            parts[kind, currency] = parts.get((kind, currency), Decimal(0)) + Decimal(amount)
        cost = Cost(tuple(CostPart(semconv.CostKind(kind), code, amount) for (kind, code), amount in parts.items()))
        run_id = (f"ticket {self.sequence}", f"lead {self.sequence}", None)[number % 3 if number != 5 else 0]
        return Run(
            trace_id=(self.sequence << 64) + number // 2 + 1,
            span_id=number + 1,
            trace_flags=1,
            end_ns=STARTED_NS - 1000 * ended - number,
            agent_name=("support", "sales", "support", None, "sales", "support")[number % RUNS_MAX],
            job_type=("chat", None)[number // 3 % 2],
            run_id=run_id,
            usage=Usage(input_tokens=tokens),
            cost=cost,
        )

    def _model_run(self, run: Run, number: int, status: str, result: Result) -> ModelRun:
        return ModelRun(
            id=run.id,
            trace=f"{run.trace_id:032x}",
            run_id=run.run_id,
            agent=run.agent_name,
            job=run.job_type,
            status=status,
            end_ns=run.end_ns,
            service=self.services[number % 2],
            result=result,
            tokens=run.usage.input_tokens,
            costs={(part.kind.value, part.currency): part.amount for part in run.cost.parts},
        )


def _reporter(who: Who) -> Reporter:
    return Reporter(who.name, who.agents, who.corrects)


def _told(system: System, report: LateReport | LateCost, now_ns: int, hold_s: float) -> Answer:
    try:
        if isinstance(report, LateCost):
            given = system.add_cost(report, now_ns=now_ns, hold_s=hold_s)
        else:
            given = system.report(report, now_ns=now_ns, hold_s=hold_s)
    except ReportRefused as refused:
        return Answer(refused.code.value, fields=frozenset(refused.fields))
    return Answer(given.state.value, given.outcome_id, given.revision, given.repeated)

# SPDX-License-Identifier: Apache-2.0
"""The ledger once more, in other words: written from its specification, in plain Python values, to be held against it.

It imports nothing of the ledger. Amounts are `Decimal`s in a context that never rounds; labels are sets of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from typing import Final, NamedTuple

EXACTLY: Final = Context(prec=80, traps=[Inexact])
HOUR_NS: Final = 3_600_000_000_000
FOREVER_NS: Final = 2**63 - 1
VERDICT_OF_TYPE: Final = {"converted": True, "deflected": True, "escalated": False, "unsuccessful": False}
LABELS_OF_STATUS: Final[dict[str, dict[str, str | bool]]] = {
    "success": {"agent.outcome.retryable": False},
    "timeout": {"agent.outcome.retryable": True, "agent.outcome.error.category": "timeout"},
    "failure": {},
}

Labels = frozenset[tuple[str, str | bool]]
Sums = dict[tuple[str, str, Labels], Decimal]


class Result(NamedTuple):
    """A business result; all of it `None` while a run is pending."""

    type: str | None = None
    success: bool | None = None
    label: str | None = None
    value: Decimal | None = None
    currency: str = "USD"

    @property
    def verdict(self) -> bool | None:
        """What was said, else what follows from the type."""
        return VERDICT_OF_TYPE.get(self.type or "") if self.success is None else self.success

    @property
    def is_known(self) -> bool:
        """Whether anything was said."""
        return any(said is not None for said in (self.type, self.success, self.label, self.value))

    @property
    def meaning(self) -> tuple[object, ...]:
        """What makes two results the same; the currency of nothing is none."""
        money = None if self.value is None else (self.value, self.currency)
        return self.type, self.verdict, self.label, money


NOTHING: Final = Result()


class Target(NamedTuple):
    """The run that is meant: by which of its names, that name, and whether the last of several will do."""

    by: str
    name: str
    latest: bool = False


class Who(NamedTuple):
    """Whoever reports: name, agents (`None`: all), the right to correct."""

    name: str = ""
    agents: frozenset[str] | None = None
    corrects: bool = False

    def speaks_for(self, agent: str | None) -> bool:
        """Whether these are runs of theirs."""
        return self.agents is None or (agent is not None and agent in self.agents)


class Said(NamedTuple):
    """A report: a result or none at all (a retraction), or, where there is an amount, a cost."""

    target: Target
    who: Who
    result: Result | None = None
    amount: Decimal | None = None
    currency: str = "USD"
    kind: str = "other"
    reason: str | None = None
    key: str | None = None
    on_revision: int | None = None

    @property
    def content(self) -> tuple[object, ...]:
        """What makes two reports the same: all of it, in its meaning, and the name of whoever makes it."""
        stated = None if self.result is None else (*self.result[:4], self.result.currency)
        return (
            self.target,
            self.who.name,
            stated,
            self.amount,
            self.currency,
            self.kind,
            self.reason,
            self.on_revision,
        )


class Answer(NamedTuple):
    """What a report is told: a state or a code of refusal."""

    word: str
    outcome_id: str | None = None
    revision: int | None = None
    repeated: bool = False
    fields: frozenset[str] = frozenset()


@dataclass
class ModelRun:
    """A run, and what stands of it. Of what its own process stated again it is not known when that was (`None`)."""

    id: str
    trace: str
    run_id: str | None
    agent: str | None
    job: str | None
    status: str
    end_ns: int
    service: str
    result: Result = NOTHING
    tokens: int | None = None
    costs: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    changes: list[str] = field(default_factory=lambda: ["first"])
    times_ns: list[int | None] = field(default_factory=list)
    stated: Result = NOTHING

    def change(self, what: str, at_ns: int | None) -> None:
        """Begin another revision."""
        self.changes.append(what)
        self.times_ns.append(at_ns)

    @property
    def revision(self) -> int:
        """The number of what stands."""
        return len(self.changes) - 1

    def cost_in(self) -> dict[str, Decimal]:
        """All that it cost, by currency."""
        sums: dict[str, Decimal] = {}
        for (_, currency), amount in self.costs.items():
            sums[currency] = EXACTLY.add(sums.get(currency, Decimal(0)), amount)
        return sums


class Held(NamedTuple):
    """A report that waits for its run, since and until when."""

    said: Said
    since_ns: int
    until_ns: int


class Model:
    """A ledger that keeps everything in memory."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.runs: dict[str, ModelRun] = {}
        self.paused: dict[str, ModelRun] = {}
        self.waiting: list[Held] = []
        self.refused: list[tuple[Said, str]] = []
        self.sums: Sums = {}
        self._answers: dict[str, tuple[tuple[object, ...], Answer]] = {}
        self._costs: dict[tuple[object, ...], tuple[int, Answer]] = {}

    def accept(self, runs: list[ModelRun], now_ns: int) -> None:
        """Runs end; told twice, one has ended once. Then whoever has waited is heard, in order, if one run is meant."""
        new = [run for run in runs if run.id not in self.runs]
        for run in new:
            self._begin(run)
        waiting, self.waiting = self.waiting, []
        for held in waiting:
            meant = sorted((run for run in new if _is_meant(held.said, run)), key=lambda run: run.end_ns)
            if held.until_ns <= now_ns or not meant:
                self.waiting.append(held)
                continue
            is_one = len(meant) == 1 or held.said.target.latest
            run = meant[-1]
            own = run.stated if held.since_ns < run.end_ns else None
            word = self._settle(held.said, run, held.since_ns, later=own).word if is_one else "RUN_AMBIGUOUS"
            if word.isupper():
                self.refused.append((held.said, word))

    def _begin(self, run: ModelRun) -> None:
        self.runs[run.id] = run
        run.stated = run.result
        own = _named(run)
        how = {**own, **LABELS_OF_STATUS[run.status], "agent.outcome.source": "explicit"}
        self._count(run, "agent.runs", how, Decimal(1))
        self._count_use(run)
        if run.result.is_known:
            self._enter(run)

    def pause(self, run: ModelRun, now_ns: int) -> None:
        """A run stops to wait for a human: what it has used counts, once; what waits for it does so as long as that."""
        if run.id not in self.paused:
            self.paused[run.id] = run
            self._count_use(run)
            self.waiting = [
                held._replace(until_ns=FOREVER_NS) if held.until_ns > now_ns and _is_meant(held.said, run) else held
                for held in self.waiting
            ]

    def state_again(self, run_id: str, result: Result) -> None:
        """A run's own process says more of it: taken where nothing stands, and else by the policy, without rights."""
        run = self.runs[run_id]
        self._settle(Said(Target("outcome_id", run_id), Who(), result), run, None)

    def hear(self, said: Said, now_ns: int, hold_s: float) -> Answer:
        """A report comes in."""
        if said.key is not None and said.key in self._answers:
            content, answer = self._answers[said.key]
            if content != said.content:
                return Answer("IDEMPOTENCY_KEY_REUSED", fields=frozenset({"idempotency_key"}))
            if answer.word != "held" or not self._came_to_nothing(said, now_ns):
                return answer._replace(repeated=True)
        found = [run for run in self.runs.values() if _names(said.target, run)]
        own = sorted((run for run in found if said.who.speaks_for(run.agent)), key=lambda run: run.end_ns)
        if found and not own:
            return Answer("NOT_ALLOWED")
        if len(own) > 1 and not said.target.latest:
            return Answer("RUN_AMBIGUOUS", fields=frozenset({said.target.by}))
        answer = self._settle(said, own[-1], now_ns) if own else self._hold(said, now_ns, hold_s)
        if said.key is not None and not answer.word.isupper():
            self._drop_what_came_to_nothing(said, now_ns)
            self._answers[said.key] = (said.content, answer)
        return answer

    def _came_to_nothing(self, said: Said, now_ns: int) -> bool:
        """Whether what was said under this key has waited in vain, or was refused when its run came."""
        waits = any(held.said.key == said.key and held.until_ns <= now_ns for held in self.waiting)
        return waits or any(other.key == said.key for other, _ in self.refused)

    def _drop_what_came_to_nothing(self, said: Said, now_ns: int) -> None:
        self.waiting = [held for held in self.waiting if held.said.key != said.key or held.until_ns > now_ns]
        self.refused = [(other, code) for other, code in self.refused if other.key != said.key]

    def orphans(self, now_ns: int) -> int:
        """How many have waited in vain, or were refused when their run came."""
        return len(self.refused) + sum(held.until_ns <= now_ns for held in self.waiting)

    def _hold(self, said: Said, now_ns: int, hold_s: float) -> Answer:
        if hold_s == 0:
            return Answer("RUN_NOT_FOUND", fields=frozenset({said.target.by}))
        answer = Answer("held", said.target.name if said.target.by == "outcome_id" else None)
        if any(held.said == said and held.until_ns > now_ns for held in self.waiting):
            return answer._replace(repeated=True)
        is_paused = any(_is_meant(said, run) for run in self.paused.values())
        self.waiting.append(Held(said, now_ns, FOREVER_NS if is_paused else now_ns + round(hold_s * 10**9)))
        return answer

    def _settle(self, said: Said, run: ModelRun, now_ns: int | None, *, later: Result | None = None) -> Answer:
        """What comes of a report on a run, which has itself stated a `later` result."""
        if said.amount is not None and now_ns is not None:
            return self._add_cost(said, said.amount, run, now_ns)
        if said.on_revision is not None and said.on_revision != run.revision:
            return Answer("STALE_REVISION", fields=frozenset({"if_revision"}))
        before, after = run.result, said.result or Result()
        if before.meaning == after.meaning:
            return Answer("unchanged", run.id, run.revision)
        is_older = later is not None and before.meaning == later.meaning
        is_bound = is_older or self.policy == "immutable"
        if before.is_known and is_bound and not (said.who.corrects and said.reason is not None):
            return Answer("OUTCOME_CONFLICT", fields=_differing(before, after))
        if before.is_known:
            self._take_back(run)
        run.result = after
        if after.is_known:
            self._enter(run)
        run.change(_change(before, after), now_ns)
        return Answer("recorded", run.id, run.revision)

    def _add_cost(self, said: Said, amount: Decimal, run: ModelRun, now_ns: int) -> Answer:
        same = (run.id, said.kind, said.currency, amount, said.who.name)
        if said.key is None and same in self._costs:
            since_ns, answer = self._costs[same]
            if now_ns - since_ns < 24 * HOUR_NS:
                return answer._replace(repeated=True)
        part = (said.kind, said.currency)
        run.costs[part] = EXACTLY.add(run.costs.get(part, Decimal(0)), amount)
        spent = {"agent.outcome.cost_currency": said.currency}
        self._count(run, "agent.run.cost", {**_named(run), **spent, "agent.cost.kind": said.kind}, amount)
        if run.result.is_known:
            self._count(run, "agent.outcome.cost", {**_named(run), **_described(run.result), **spent}, amount)
        run.change("cost", now_ns)
        answer = Answer("recorded", run.id, run.revision)
        if said.key is None:
            self._costs[same] = (now_ns, answer)
        return answer

    def _enter(self, run: ModelRun) -> None:
        self._post(run, "agent.outcomes", "agent.outcome.value", "agent.outcome.reversal.value", "agent.outcome.cost")

    def _take_back(self, run: ModelRun) -> None:
        back = "agent.outcome.reversal"
        self._post(run, f"{back}s", f"{back}.value", "agent.outcome.value", f"{back}.cost")

    def _post(self, run: ModelRun, outcomes: str, gain: str, loss: str, cost: str) -> None:
        own = {**_named(run), **_described(run.result)}
        self._count(run, outcomes, own, Decimal(1))
        if run.result.value is not None:
            worth = run.result.value
            side = loss if worth < 0 else gain
            money = {"agent.outcome.currency": run.result.currency}
            self._count(run, side, {**own, **money}, worth.copy_abs())
        for currency, amount in run.cost_in().items():
            self._count(run, cost, {**own, "agent.outcome.cost_currency": currency}, amount)

    def _count_use(self, run: ModelRun) -> None:
        for (kind, currency), amount in run.costs.items():
            spent = {"agent.outcome.cost_currency": currency, "agent.cost.kind": kind}
            self._count(run, "agent.run.cost", {**_named(run), **spent}, amount)
        if run.tokens is not None:
            name = {"gen_ai.agent.name": run.agent} if run.agent is not None else {}
            self._count(run, "agent.run.tokens", {**name, "gen_ai.token.type": "input"}, Decimal(run.tokens))

    def _count(self, run: ModelRun, instrument: str, labels: dict[str, str | bool], amount: Decimal) -> None:
        key = (run.service, instrument, frozenset(labels.items()))
        self.sums[key] = EXACTLY.add(self.sums.get(key, Decimal(0)), amount)


def _named(run: ModelRun) -> dict[str, str | bool]:
    labels: dict[str, str | None] = {
        "gen_ai.agent.name": run.agent,
        "agent.outcome.job_type": run.job,
        "agent.outcome.status": run.status,
    }
    return {key: text for key, text in labels.items() if text is not None}


def _described(result: Result) -> dict[str, str | bool]:
    labels: dict[str, str | bool | None] = {
        "agent.outcome.type": result.type,
        "agent.outcome.success": result.verdict,
        "agent.outcome.label": result.label,
    }
    return {key: said for key, said in labels.items() if said is not None}


def _names(target: Target, run: ModelRun) -> bool:
    return target.name == {"outcome_id": run.id, "trace_id": run.trace, "run_id": run.run_id}[target.by]


def _is_meant(said: Said, run: ModelRun) -> bool:
    """Whether a held report waits for this run: it is not for a run that its reporter may not speak for."""
    return _names(said.target, run) and said.who.speaks_for(run.agent)


def _change(before: Result, after: Result) -> str:
    if not before.is_known:
        return "reported"
    return "corrected" if after.is_known else "retracted"


def _differing(before: Result, after: Result) -> frozenset[str]:
    names = ("type", "success", "label", "value")
    differing = {name for name, one, two in zip(names, before.meaning, after.meaning, strict=True) if one != two}
    if "value" in differing and before.value == after.value:
        differing = differing - {"value"} | {"currency"}
    elif before.value is not None and after.value is not None and before.currency != after.currency:
        differing |= {"currency"}
    return frozenset(differing)

# SPDX-License-Identifier: Apache-2.0
"""Revisions in double entry: what each posts, what its event says, and that the net is exact whatever comes later."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes import semconv
from agent_outcomes.ledger.book.accepted import Acceptance
from agent_outcomes.ledger.book.content import read_content
from agent_outcomes.ledger.book.digests import DIGEST_BYTES, digest_of, revision_digest, seal_digest
from agent_outcomes.ledger.book.fitting import EVENT_BYTES_MAX
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.book.revisions import NewRevision, add_cost, first_revision, judge
from agent_outcomes.outcome.amounts import EXACT
from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, Run
from agent_outcomes.semconv import CostKind
from tests.cases import sums_of
from tests.ledger_facts import a_cost, a_run, accepted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_outcomes.ledger.book.revisions import StandingRun
    from agent_outcomes.record.record import PlainPosting

Nets = dict[tuple[str, str | None], Decimal]
LABELS: Final = {"gen_ai.agent.name": "support", "agent.outcome.status": "success"}


def reported(stands: StandingRun, at_ns: int = 2_000, **stated: Any) -> NewRevision:
    made = judge(read_report(outcome_id=stands.run.id, **stated), stands, Policy.LATEST, at_ns)
    assert isinstance(made, NewRevision)
    return made


def with_cost(stands: StandingRun, amount: str, at_ns: int = 3_000, **stated: Any) -> NewRevision:
    return add_cost(read_cost(outcome_id=stands.run.id, amount=amount, **stated), stands, at_ns)


def rows(postings: Iterable[PlainPosting]) -> list[tuple[str, dict[str, Any], Decimal | int]]:
    return [
        (
            instrument.name,
            {
                key: label
                for key, label in zip(instrument.attributes, labels, strict=True)
                if label is not None and key not in LABELS
            },
            amount,
        )
        for instrument, labels, amount in postings
    ]


def nets(made: Iterable[NewRevision]) -> Nets:
    """What is left of each kind of amount, by instrument of the entry and currency."""
    sums: Nets = defaultdict(Decimal)
    entries = {
        "agent.outcome.reversals": ("agent.outcomes", -1),
        "agent.outcome.reversal.value": ("agent.outcome.value", -1),
        "agent.outcome.reversal.cost": ("agent.outcome.cost", -1),
    }
    for revision in made:
        for instrument, labels, amount in revision.record.postings:
            assert amount >= 0
            name, sign = entries.get(instrument.name, (instrument.name, 1))
            named = dict(zip(instrument.attributes, labels, strict=True))
            currency = named.get(semconv.AGENT_OUTCOME_CURRENCY) or named.get(semconv.AGENT_OUTCOME_COST_CURRENCY)
            key = (name, currency if isinstance(currency, str) else None)
            sums[key] = EXACT.add(sums[key], EXACT.multiply(Decimal(sign), Decimal(amount)))
    return {key: net for key, net in sums.items() if net}


def test_report_three_days_later() -> None:
    """Beside the first event, at the time of the report, superseding it, and saying who, why and what."""
    run = a_run(run_id="ticket-4711", duration_s=1.5)
    first = first_revision(accepted(run, Outcome.success()))
    made = reported(
        first.standing, 259_200_000_000_000, success=True, label="stayed", reason="7 days", reported_by="crm"
    )
    event = made.record.event
    assert (event.trace_id, event.span_id, event.trace_flags) == (run.trace_id, run.span_id, run.trace_flags)
    assert (event.name, event.timestamp_ns) == ("agent.outcome", 259_200_000_000_000)
    added = {key: value for key, value in event.attributes.items() if first.record.event.attributes.get(key) != value}
    assert added == {
        "agent.outcome.change": "reported",
        "agent.outcome.delay": (259_200_000_000_000 - run.end_ns) / 1e9,
        "agent.outcome.reason": "7 days",
        "agent.outcome.reported_by": "crm",
        "agent.outcome.success": True,
        "agent.outcome.label": "stayed",
        "agent.outcome.state": "reported",
        "agent.outcome.revision": 1,
        "agent.outcome.supersedes": f"{run.id}-0",
        "log.record.uid": f"{run.id}-1",
    }
    assert all(type(value) in {str, bool, int, float, tuple} for value in event.attributes.values())
    assert made.record.duration_s is None
    assert rows(made.record.postings) == [
        ("agent.outcomes", {"agent.outcome.success": True, "agent.outcome.label": "stayed"}, 1)
    ]


def test_correction_reverses_what_stood_and_enters_what_is_right() -> None:
    """Value and cost with it; the run itself is not counted again."""
    run = a_run(cost=a_cost(("llm", "USD", "0.10")))
    first = first_revision(accepted(run, Outcome.success(type="converted", value="50")))
    made = reported(first.standing, type="escalated", value="-5", currency="EUR")
    old = {"agent.outcome.type": "converted", "agent.outcome.success": True}
    new = {"agent.outcome.type": "escalated", "agent.outcome.success": False}
    assert made.change == "corrected"
    assert rows(made.record.postings) == [
        ("agent.outcome.reversals", old, 1),
        ("agent.outcome.reversal.value", {**old, "agent.outcome.currency": "USD"}, 50),
        ("agent.outcome.reversal.cost", {**old, "agent.outcome.cost_currency": "USD"}, Decimal("0.10")),
        ("agent.outcomes", new, 1),
        ("agent.outcome.reversal.value", {**new, "agent.outcome.currency": "EUR"}, 5),
        ("agent.outcome.cost", {**new, "agent.outcome.cost_currency": "USD"}, Decimal("0.10")),
    ]


def test_late_cost_of_a_pending_run() -> None:
    """Only what the run cost grows; the event shows the new total and what it is made of."""
    first = first_revision(accepted(a_run(cost=a_cost(("llm", "USD", "0.10"))), Outcome.success()))
    made = with_cost(first.standing, "50.00", kind="human", reason="escalated", reported_by="desk")
    assert (made.revision, made.change, made.outcome.state) == (1, "cost", "pending")
    assert rows(made.record.postings) == [
        ("agent.run.cost", {"agent.outcome.cost_currency": "USD", "agent.cost.kind": "human"}, Decimal("50.00"))
    ]
    attributes = made.record.event.attributes
    assert attributes["agent.outcome.cost"] == 50.1
    assert attributes["agent.outcome.cost_breakdown"] == ("llm 0.1 USD", "human 50 USD")
    assert attributes["agent.outcome.change"] == "cost"
    assert (attributes["agent.outcome.reason"], attributes["agent.outcome.reported_by"]) == ("escalated", "desk")
    assert (made.record.event.timestamp_ns, made.record.duration_s) == (3_000, None)


def test_late_cost_of_a_reported_run() -> None:
    """It is a cost behind that outcome, too, under the labels by which the outcome is counted."""
    first = first_revision(accepted(a_run(job_type="ticket"), Outcome.success(label="sold", value=5)))
    made = with_cost(first.standing, "0.000000000001", currency="EUR", kind="tool")
    job = {"agent.outcome.job_type": "ticket", "agent.outcome.cost_currency": "EUR"}
    amount = Decimal("0.000000000001")
    assert rows(made.record.postings) == [
        ("agent.run.cost", {**job, "agent.cost.kind": "tool"}, amount),
        ("agent.outcome.cost", {**job, "agent.outcome.label": "sold"}, amount),
    ]


@pytest.mark.parametrize(
    ("before", "complete", "after"),
    [
        (Cost(), None, a_cost(("human", "USD", "2"))),
        (Cost(complete=False), False, a_cost(("human", "USD", "2"), complete=False)),
        (a_cost(("human", "USD", "1.50")), True, a_cost(("human", "USD", "3.50"))),
        (a_cost(("llm", "USD", "1")), True, a_cost(("llm", "USD", "1"), ("human", "USD", "2"))),
        (a_cost(("human", "EUR", "1")), True, a_cost(("human", "EUR", "1"), ("human", "USD", "2"))),
    ],
)
def test_late_cost_is_a_part_of_the_cost(*, before: Cost, complete: bool | None, after: Cost) -> None:
    """By kind and currency; what was missing from the cost before is missing still."""
    assert before.complete is complete
    first = first_revision(accepted(a_run(cost=before), Outcome.success()))
    assert with_cost(first.standing, "2", kind="human").run.cost == after


def test_where_the_cost_came_from_stays() -> None:
    """A stated cost that more is added to is a stated one still."""
    stated = Cost(a_cost(("other", "USD", "1")).parts, semconv.CostSource.EXPLICIT, complete=True)
    first = first_revision(accepted(a_run(cost=stated), Outcome.success()))
    assert with_cost(first.standing, "2").run.cost.source is semconv.CostSource.EXPLICIT


@pytest.mark.parametrize(
    ("amount", "exact"),
    [
        ("0.1", None),
        ("12.50", None),
        ("123456789012345.123456789012", "123456789012345.123456789012"),
        ("999999999999999.9", None),
        ("9007199254740.993000000001", "9007199254740.993000000001"),
        ("1e-12", None),
    ],
)
def test_late_cost_tells_the_exact_amount_where_a_double_does_not(amount: str, exact: str | None) -> None:
    """As the values and costs of an outcome do."""
    standing = first_revision(accepted(a_run(), Outcome.success(label="sold"))).standing
    told = with_cost(standing, amount).record.event.attributes
    assert told["agent.cost.amount"] == float(amount)
    assert told.get("agent.cost.amount_decimal") == exact


def test_correction_after_a_late_cost_takes_all_of_it_back() -> None:
    """The reversal has the cost as it stands, so that the net is what the run cost."""
    run = a_run(cost=a_cost(("llm", "USD", "0.10")))
    made = [first_revision(accepted(run, Outcome.success(label="sold", value="9.99")))]
    made.append(with_cost(made[-1].standing, "50", kind="human"))
    made.append(reported(made[-1].standing, label="lost"))
    assert ("agent.outcome.reversal.cost", {"agent.outcome.label": "sold", "agent.outcome.cost_currency": "USD"},
            Decimal("50.10")) in rows(made[-1].record.postings)  # fmt: skip
    stands: Nets = {
        ("agent.runs", None): Decimal(1),
        ("agent.run.cost", "USD"): Decimal("50.10"),
        ("agent.outcomes", None): Decimal(1),
        ("agent.outcome.cost", "USD"): Decimal("50.10"),
    }
    assert nets(made) == stands
    made.append(reported(made[-1].standing, retract=True))
    made.append(with_cost(made[-1].standing, "0.01"))
    expected: Nets = {("agent.runs", None): Decimal(1), ("agent.run.cost", "USD"): Decimal("50.11")}
    assert nets(made) == expected


STEPS: Final = st.lists(
    st.tuples(st.just("cost"), st.decimals(0, 10**15 - 1, places=12), st.sampled_from(["USD", "EUR"]))
    | st.tuples(st.just("value"), st.decimals(-(10**15) + 1, 10**15 - 1, places=12), st.sampled_from(["USD", "EUR"]))
    | st.tuples(st.just("retract"), st.none(), st.none()),
    max_size=12,
)


@given(STEPS)
def test_net_is_exact_after_any_history(steps: list[tuple[str, Decimal | None, str | None]]) -> None:
    """Of the value what stands, of the cost all of it, to the last digit."""
    made = [first_revision(accepted(a_run(), Outcome.success(value="0.10")))]
    worth = (Decimal("0.10"), "USD")
    costs: dict[str, Decimal] = {"USD": Decimal(0), "EUR": Decimal(0)}
    for kind, amount, currency in steps:
        stands = made[-1].standing
        stated: dict[str, Any] = {"retract": True} if kind == "retract" else {"value": amount, "currency": currency}
        if kind == "cost" and amount is not None and currency is not None:
            made.append(with_cost(stands, str(amount), currency=currency))
            costs[currency] = EXACT.add(costs[currency], amount)
            continue
        worth = (amount or Decimal(0), currency or "USD")
        answer = judge(read_report(outcome_id=stands.run.id, **stated), stands, Policy.LATEST, 9)
        made += [answer] if isinstance(answer, NewRevision) else []
    expected: Nets = {("agent.runs", None): Decimal(1)}
    expected |= {("agent.run.cost", code): total for code, total in costs.items() if total}
    if made[-1].outcome.state is semconv.State.REPORTED:
        expected |= {("agent.outcome.cost", code): total for code, total in costs.items() if total}
        expected |= {("agent.outcome.value", worth[1]): worth[0]} if worth[0] else {}
        expected["agent.outcomes", None] = Decimal(1)
    assert nets(made) == expected
    assert [revision.revision for revision in made] == list(range(len(made)))


def test_a_cost_for_another_agent_is_not_taken() -> None:
    """A reporter speaks for its own agents."""
    first = first_revision(accepted(a_run(), Outcome.success()))
    cost = read_cost(Reporter("key", frozenset({"sales"})), outcome_id=first.run.id, amount=1)
    with pytest.raises(ReportRefused, match="NOT_ALLOWED"):
        add_cost(cost, first.standing, 9)


def test_what_is_stored_is_what_stands() -> None:
    """Run, outcome, change, reporter, reason, time and postings of each revision come back from its content."""
    made = [first_revision(accepted(a_run(), Outcome.success()))]
    made.append(reported(made[-1].standing, label="sold", reported_by="crm", reason="paid"))
    made.append(with_cost(made[-1].standing, "1.50", reported_by="desk"))
    for revision in made:
        content = read_content(revision.content)
        assert (content.run, content.outcome) == revision.standing[:2]
        assert (content.revision, content.change) == (revision.revision, revision.change)
        assert content.postings == revision.record.postings
        assert content.reported_at_ns == revision.record.event.timestamp_ns
    assert [read_content(revision.content)[5:7] for revision in made] == [(None, None), ("crm", "paid"), ("desk", None)]


def test_message_and_metadata_stay_unless_others_are_stated() -> None:
    """As they do where an outer span states the result."""
    first = first_revision(accepted(a_run(), Outcome.success(message="at the end", metadata={"tier": 1})))
    kept = reported(first.standing, label="sold")
    assert (kept.outcome.message, kept.outcome.metadata) == ("at the end", '{"tier": 1}')
    stated = reported(kept.standing, label="lost", message="later", metadata='{"tier": 2}')
    assert (stated.outcome.message, stated.outcome.metadata) == ("later", '{"tier": 2}')


def test_problems_are_those_of_their_own_revision() -> None:
    """What was wrong with an earlier one is told by that one."""
    first = first_revision(accepted(a_run(), Outcome.success(value="x")))
    assert first.record.event.attributes["agent.outcome.problems"] == ("invalid_amount:agent.outcome.value",)
    made = reported(first.standing, label="sold", status="failed")
    assert made.record.event.attributes["agent.outcome.problems"] == ("status_conflict:agent.outcome.status",)
    assert "agent.outcome.refused" not in made.record.event.attributes
    assert "agent.outcome.problems" not in with_cost(made.standing, "1").record.event.attributes


def test_paused_run_is_counted_by_what_it_used() -> None:
    """As without a ledger."""
    run = a_run(cost=a_cost(("llm", "USD", "0.10")), duration_s=2.0)
    outcome = Outcome.success(label="sold")
    made = first_revision(accepted(run, outcome, paused=True))
    assert [name for name, *_ in rows(made.record.postings)] == ["agent.run.cost"]
    assert made.record.duration_s is None
    assert read_content(made.content).postings == made.record.postings


def event_bytes(made: NewRevision) -> int:
    return len(json.dumps(made.record.event.attributes, ensure_ascii=False).encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("texts", "lost"),
    [
        ({"message": "x" * 4096, "metadata": '"' + "x" * 16_000 + '"'}, []),
        ({"metadata": '"' + "\U0001f600" * 16_000 + '"'}, ["agent.outcome.metadata"]),
        ({"message": "\U0001f600" * 4096, "metadata": '"' + "é" * 16_000 + '"'}, []),
        (
            {"message": "\U0001f600" * 4096, "refused": ("\U0001f600" * 256,) * 32, "metadata": "{}"},
            [],
        ),
        (
            {"message": "\U0001f600" * 4096, "refused": ("\U0001f600" * 512,) * 32, "metadata": "{}"},
            ["agent.outcome.metadata", "agent.outcome.refused"],
        ),
        (
            {"message": "\U0001f600" * 20_000, "metadata": "{}"},
            ["agent.outcome.metadata", "agent.outcome.message"],
        ),
    ],
)
def test_event_stays_below_64_kib(texts: dict[str, Any], lost: list[str]) -> None:
    """What is too large goes, least needed first, and is listed; so it is in a later revision, which keeps texts."""
    outcome = replace(Outcome.success(), **texts)
    made = first_revision(accepted(a_run(), outcome))
    listed = made.record.event.attributes.get("agent.outcome.problems", ())
    assert listed == tuple(f"text_truncated:{name}" for name in lost)
    assert event_bytes(made) <= EVENT_BYTES_MAX
    assert not any(name in made.record.event.attributes for name in lost)
    assert event_bytes(reported(made.standing, label="sold", message="\U0001f600" * 4096)) <= EVENT_BYTES_MAX
    assert sums_of(rows(made.record.postings)) == sums_of(rows(record(a_run(), outcome).postings))


def test_event_stays_below_64_kib_however_many_costs_come() -> None:
    """Texts that had room before make room for the parts of the cost."""
    outcome = replace(Outcome.success(), message="\U0001f600" * 4096, metadata='"' + "é" * 16_000 + '"')
    made = first_revision(accepted(a_run(), outcome))
    for kind, currency in product(CostKind, sorted(CURRENCIES)):
        made = with_cost(made.standing, "999999999999999.999999999999", kind=kind, currency=currency)
    assert len(made.run.cost.parts) == len(CostKind) * len(CURRENCIES)
    assert made.outcome.metadata is None
    assert event_bytes(made) <= EVENT_BYTES_MAX


def test_first_revision_takes_the_record_as_it_was_made() -> None:
    """Nothing is made twice where a run ends."""
    run, outcome = a_run(), Outcome.success()
    made = record(run, outcome)
    assert first_revision(Acceptance(run, outcome, made)).record is made


def test_digests_are_chained_along_the_run() -> None:
    """Each is over its content and the digest before it, in a domain of its own."""
    first = first_revision(accepted(a_run(), Outcome.success()))
    made = reported(first.standing, label="sold")
    assert first.digest == revision_digest(first.content, None)
    assert made.digest == revision_digest(made.content, first.digest)
    assert len(made.digest) == DIGEST_BYTES
    others = [revision_digest(made.content, None), revision_digest(made.content + b" ", first.digest)]
    others += [seal_digest(first.digest, [made.content]), digest_of(b"", (first.digest, made.content))]
    assert made.digest not in others


@given(st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_seal_is_of_these_digests_in_this_order(digests: list[bytes], data: st.DataObject) -> None:
    """One more, one less, another order, another cut between them or another seal before: another seal."""
    others = [digests[:-1], [*digests, b""], [b"".join(digests)], data.draw(st.permutations(digests))]
    seals = {seal_digest(None, other) for other in others if other != digests}
    assert seal_digest(None, digests) not in {*seals, seal_digest(bytes(32), digests)}
    assert seal_digest(None, iter(digests)) == seal_digest(None, digests)


def test_digest_of_known_bytes() -> None:
    """The digests that stand in ledgers out there stay what they are."""
    assert revision_digest(b"{}", None).hex() == "0167583ecc913f059b1b6973698de8a902109a88a325ce670cf8cecc9af6f143"
    assert seal_digest(None, [bytes(32)]).hex() == "4a2a40082413cad677dad27934cb30dacb104cbca4517f9767cd299778e13be3"


def test_run_without_a_name() -> None:
    """It is reported like any other."""
    run = Run(trace_id=1, span_id=1, trace_flags=0, end_ns=1)
    made = reported(first_revision(accepted(run, Outcome.failure("no"))).standing, label="sold")
    assert made.record.event.body == "agent: failure/sold"

# SPDX-License-Identifier: Apache-2.0
"""`report_outcome` and `report_cost`: later, from the same process or another one, with two kinds of errors at most."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import agent_outcomes
from agent_outcomes import RefusalCode, ReportRefused, ReportState, report_cost, report_outcome
from agent_outcomes.api.report import REPORT_ATTEMPTS_MAX, asked_again
from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.refusals import Report, unavailable
from agent_outcomes.ledger.pruning import prune
from agent_outcomes.ledger.rows import DeliveryState
from tests.integration.installed import IMPORTED_FROM
from tests.ledger_pipeline import LedgerPipeline, store_at, total_in, url_of
from tests.pipeline import AGENT, run_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VARIABLE = "AGENT_OUTCOMES_LEDGER"
PASSED_ON = "hunter2"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerPipeline]:
    monkeypatch.delenv(VARIABLE, raising=False)
    made = LedgerPipeline(tmp_path / "outcomes.db")
    yield made
    made.processor.shutdown()


def ended(pipeline: LedgerPipeline, run_id: str = "ticket-1", **outcome: Any) -> str:
    """A run that has ended; its outcome's id."""
    run_agent(pipeline.tracer(), "support-bot", run_id=run_id, **outcome)
    found: str = pipeline.events()[-1].outcome("id")
    return found


def test_a_verdict_comes_from_another_process(pipeline: LedgerPipeline) -> None:
    """Recorded as revision 1 beside the first event: same ids, exact counters, and who said it."""
    outcome_id = ended(pipeline)
    script = (
        "import json\nfrom agent_outcomes import report_outcome\n"
        "report = report_outcome(run_id='ticket-1', success=True, label='stayed_closed', value='12.50',\n"
        "    currency='EUR', reason='no reopening in 7 days', reported_by='crm', idempotency_key='k-1')\n"
        "print(json.dumps([report.state, report.outcome_id, report.revision, report.repeated]))"
    )
    environ = {"PYTHONPATH": str(IMPORTED_FROM), VARIABLE: pipeline.url}
    command = [sys.executable, "-W", "error", "-c", script]
    for repeated in (False, True):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == ["recorded", outcome_id, 1, repeated]
    first, second = pipeline.events()
    assert (second.trace_id, second.span_id) == (first.trace_id, first.span_id)
    assert second.attributes["agent.outcome.supersedes"] == f"{outcome_id}-0"
    assert (second.outcome("reported_by"), second.outcome("change")) == ("crm", "reported")
    assert pipeline.total("agent.outcome.value", {"agent.outcome.currency": "EUR"}) == Decimal("12.50")
    assert pipeline.total("agent.outcomes") == 1


@pytest.mark.parametrize("way", ["run_id", "trace_id", "outcome_id"])
def test_a_run_is_named_in_three_ways(pipeline: LedgerPipeline, way: str) -> None:
    """By the user's own key, by the trace, or by the outcome's id."""
    outcome_id = ended(pipeline, "deal-7")
    named: dict[str, Any] = {way: {"run_id": "deal-7", "trace_id": outcome_id[:32], "outcome_id": outcome_id}[way]}
    assert report_outcome(ledger=pipeline.url, success=False, **named) == Report(ReportState.RECORDED, outcome_id, 1)
    assert report_outcome(ledger=pipeline.url, success=False, **named) == Report(ReportState.UNCHANGED, outcome_id, 1)


def test_a_correction_needs_to_be_called_one(pipeline: LedgerPipeline) -> None:
    """Another result is a conflict that names its fields; with `correct` and a reason it takes its place."""
    ended(pipeline, success=True, label="closed", value="20")
    again: dict[str, Any] = {"run_id": "ticket-1", "success": False, "label": "reopened", "ledger": pipeline.url}
    with pytest.raises(ReportRefused) as caught:
        report_outcome(**again)
    assert caught.value.code is RefusalCode.OUTCOME_CONFLICT
    assert {"success", "label"} <= set(caught.value.fields)
    with pytest.raises(ReportRefused):
        report_outcome(**again, correct=True)
    assert report_outcome(**again, correct=True, reason="opened again").revision == 1
    assert pipeline.total("agent.outcomes") - pipeline.total("agent.outcome.reversals") == 1
    net = pipeline.total("agent.outcome.value") - pipeline.total("agent.outcome.reversal.value")
    assert net == 0
    retracted = report_outcome(
        run_id="ticket-1", retract=True, correct=True, reason="entered by mistake", ledger=pipeline.url
    )
    assert retracted.revision == 2
    assert pipeline.total("agent.outcomes") == pipeline.total("agent.outcome.reversals")


def test_the_ledgers_policy_may_let_the_latest_report_stand(
    pipeline: LedgerPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable, as by the setting."""
    ended(pipeline, success=True)
    monkeypatch.setenv(VARIABLE, pipeline.url)
    monkeypatch.setenv("AGENT_OUTCOMES_LEDGER_POLICY", "latest")
    assert report_outcome(run_id="ticket-1", success=False).revision == 1


def test_a_persons_time_is_added(pipeline: LedgerPipeline) -> None:
    """To what the run cost and to what is behind its outcome; the same once more adds nothing and says so."""
    ended(pipeline, success=False, type="escalated")
    before = pipeline.total("agent.run.cost")
    cost: dict[str, Any] = {"run_id": "ticket-1", "amount": "50.00", "currency": "USD", "kind": "human"}
    assert report_cost(**cost, ledger=pipeline.url).revision == 1
    assert report_cost(**cost, ledger=pipeline.url).repeated
    assert pipeline.total("agent.run.cost") - before == Decimal("50.00")
    assert pipeline.total("agent.run.cost", {"agent.cost.kind": "human"}) == Decimal("50.00")
    assert report_cost(**cost, idempotency_key="second", ledger=pipeline.url).revision == 2
    assert pipeline.total("agent.run.cost") - before == Decimal("100.00")


def test_a_report_overtakes_its_run(pipeline: LedgerPipeline) -> None:
    """Held, and joined when the run arrives."""
    held = report_outcome(run_id="early", success=True, label="won", ledger=pipeline.url)
    assert (held.state, held.revision) == (ReportState.HELD, None)
    ended(pipeline, "early")
    assert [event.outcome("revision") for event in pipeline.events()] == [0, 1]
    assert pipeline.events()[1].outcome("label") == "won"


def test_without_holding_an_unknown_run_is_refused(pipeline: LedgerPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that may succeed later."""
    monkeypatch.setenv("AGENT_OUTCOMES_LEDGER_HOLD_S", "0")
    with pytest.raises(ReportRefused) as caught:
        report_outcome(run_id="nobody", success=True, ledger=pipeline.url, retry=False)
    assert (caught.value.code, caught.value.retryable) == (RefusalCode.RUN_NOT_FOUND, True)


def test_several_runs_of_one_key(pipeline: LedgerPipeline) -> None:
    """Ambiguous, until the last one is asked for."""
    ids = [ended(pipeline, "same") for _ in range(2)]
    with pytest.raises(ReportRefused) as caught:
        report_outcome(run_id="same", success=True, ledger=pipeline.url)
    assert caught.value.code is RefusalCode.RUN_AMBIGUOUS
    assert all(outcome_id in str(caught.value) for outcome_id in ids)
    assert report_outcome(run_id="same", run="latest", success=True, ledger=pipeline.url).outcome_id == ids[-1]


def test_the_ledger_of_this_processs_processor_is_the_default(pipeline: LedgerPipeline) -> None:
    """Without argument and variable; and its hold time counts."""
    ended(pipeline)
    assert report_outcome(run_id="ticket-1", success=True).revision == 1


def test_a_run_of_another_processor_is_no_default(pipeline: LedgerPipeline, tmp_path: Path) -> None:
    """The argument comes before the variable, and that before the processor's."""
    other = LedgerPipeline(tmp_path / "other.db")
    ended(pipeline)
    ended(other)
    assert report_outcome(run_id="ticket-1", success=True, ledger=other.url).revision == 1
    assert total_in(store_at(other.url), "agent.outcomes") == 1
    assert pipeline.total("agent.outcomes") == 0
    other.processor.shutdown()


# What cannot be


@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        (report_outcome, {"runid": "k", "success": True}, "runid"),
        (report_outcome, {"run_id": "k", "amount": "5"}, "amount"),
        (report_outcome, {"run_id": "k", "success": True, "correct": "yes"}, "correct"),
        (report_outcome, {"run_id": "k", "success": True, "retry": 3}, "retry"),
        (report_outcome, {"run_id": "k", "success": True, "ledger": 5}, "ledger"),
        (report_cost, {"run_id": "k", "amount": "5", "success": True}, "success"),
        (report_cost, {"run_id": "k", "amount": "5", "correct": True}, "correct"),
        (report_cost, {"run_id": "k", "amount": "5", "ledger": b"sqlite:///hunter2"}, "ledger"),
    ],
)
def test_what_cannot_be_meant_is_a_type_error(
    call: Callable[..., Report], arguments: dict[str, Any], named: str
) -> None:
    """Before anything is done; it names the argument and what it takes, and no value."""
    with pytest.raises(TypeError, match=named) as caught:
        call(**arguments)
    assert PASSED_ON not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({}, {"outcome_id", "trace_id", "run_id", "success", "type", "label", "value"}),
        ({"run_id": "k"}, {"success", "type", "label", "value"}),
        ({"success": True}, {"outcome_id", "trace_id", "run_id"}),
        ({"run_id": "k", "trace_id": "0" * 31 + "1", "success": True}, {"run_id", "trace_id"}),
        ({"run_id": "k", "value": "twelve"}, {"value"}),
        ({"run_id": "k", "value": "1", "currency": "Euro"}, {"value", "currency"}),
        ({"trace_id": "xyz", "type": "solved"}, {"trace_id", "type"}),
        ({"run_id": "k", "success": True, "if_revision": -1}, {"if_revision"}),
    ],
)
def test_what_cannot_be_read_names_each_field(
    pipeline: LedgerPipeline, arguments: dict[str, Any], fields: set[str]
) -> None:
    """And changes nothing; nothing is retried."""
    with pytest.raises(ReportRefused) as caught:
        report_outcome(ledger=pipeline.url, **arguments)
    assert (caught.value.code, caught.value.retryable) == (RefusalCode.INVALID_REPORT, False)
    assert set(caught.value.fields) == fields
    assert pipeline.status().held == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"mysql://u:{PASSED_ON}@h/d", "ledger=mysql:... is not usable"),
        (f"postgresql://u:{PASSED_ON}@h:port/d", "ledger is not usable"),
        ("sqlite:////nonexistent/deeper/o.db", "/nonexistent/deeper/o.db"),
        ("none", "no ledger is named"),
    ],
)
def test_a_ledger_that_is_none_is_refused(tmp_path: Path, url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is wrong with it, without a password, and at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ReportRefused) as caught:
        report_outcome(run_id="k", success=True, ledger=url)
    assert (caught.value.code, caught.value.fields) == (RefusalCode.INVALID_REPORT, ("ledger",))
    assert said in str(caught.value)
    assert PASSED_ON not in str(caught.value)


@pytest.mark.parametrize("way", ["variable", "processor"])
def test_a_hidden_text_of_a_report_is_not_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Neither message nor metadata, where they are hidden in the process that reports."""
    monkeypatch.delenv(VARIABLE, raising=False)
    hides: dict[str, Any] = {"hide_message": True, "hide_metadata": True} if way == "processor" else {}
    pipeline = LedgerPipeline(tmp_path / "o.db", **hides)
    ended(pipeline)
    if way == "variable":
        monkeypatch.setenv(VARIABLE, pipeline.url)
        monkeypatch.setenv("AGENT_OUTCOMES_HIDE_MESSAGE", "true")
        monkeypatch.setenv("AGENT_OUTCOMES_HIDE_METADATA", "true")
    texts: dict[str, Any] = {"message": "Alice Miller", "metadata": '{"who": "patient-0815"}'}
    assert report_outcome(run_id="ticket-1", success=True, label="closed", **texts).revision == 1
    pipeline.processor.shutdown()
    pipeline.store().close()
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"closed" in stored
    assert b"Alice" not in stored
    assert b"patient" not in stored


def test_a_report_makes_no_ledger(tmp_path: Path) -> None:
    """A slip in the path would have it held where nobody looks."""
    path = tmp_path / "typo.db"
    with pytest.raises(ReportRefused, match="no such file"):
        report_outcome(run_id="k", success=True, ledger=url_of(path))
    assert not path.exists()


def test_a_server_that_is_away_is_worth_another_try() -> None:
    """With `retry=False` it is told at once, and that it is retryable."""
    with pytest.raises(ReportRefused) as caught:
        report_outcome(run_id="k", success=True, ledger=f"postgresql://u:{PASSED_ON}@127.0.0.1:9/d", retry=False)
    assert (caught.value.code, caught.value.retryable) == (RefusalCode.LEDGER_UNAVAILABLE, True)
    assert PASSED_ON not in str(caught.value)


# Trying again


class Answers:
    """What a ledger answers, one after the other, and how long was waited in between."""

    def __init__(self, *answers: Report | ReportRefused) -> None:
        self.answers = list(answers)
        self.waits_s: list[float] = []

    def ask(self) -> Report:
        answer = self.answers.pop(0)
        if isinstance(answer, ReportRefused):
            raise answer
        return answer


TAKEN = Report(ReportState.RECORDED, "id", 1)


def test_what_may_pass_is_tried_ten_times() -> None:
    """After 2 s first, then twice as long each time, and 90 s at most."""
    answers = Answers(*[unavailable("away")] * REPORT_ATTEMPTS_MAX)
    with pytest.raises(ReportRefused):
        asked_again(answers.ask, answers.waits_s.append)
    assert answers.waits_s == [2, 4, 8, 16, 32, 64, 90, 90, 90]
    assert answers.answers == []


@pytest.mark.parametrize("failures", [0, 1, 9])
def test_the_first_answer_counts(failures: int) -> None:
    """And nothing is asked after it."""
    answers = Answers(*[unavailable("away")] * failures, TAKEN, TAKEN)
    assert asked_again(answers.ask, answers.waits_s.append) == TAKEN
    assert (len(answers.waits_s), len(answers.answers)) == (failures, 1)


def test_the_ledgers_own_word_counts() -> None:
    """Whether shorter or longer, up to 90 s; the others go on doubling."""
    answers = Answers(*(unavailable("away", asked_s) for asked_s in (0.5, None, 30.0, 600.0, None)), TAKEN)
    asked_again(answers.ask, answers.waits_s.append)
    assert answers.waits_s == [0.5, 4, 30, 90, 32]


def test_what_does_not_pass_is_not_tried_again() -> None:
    """A conflict stays one."""
    answers = Answers(ReportRefused(RefusalCode.OUTCOME_CONFLICT, "no"), TAKEN)
    with pytest.raises(ReportRefused):
        asked_again(answers.ask, answers.waits_s.append)
    assert (answers.waits_s, answers.answers) == ([], [TAKEN])


def test_a_run_that_is_still_open_is_not_there(pipeline: LedgerPipeline) -> None:
    """Its report is held, and joined with its end."""
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        span.set_attribute("agent.outcome.run_id", "open")
        assert report_outcome(run_id="open", success=True).state is ReportState.HELD
    assert pipeline.total("agent.outcomes") == 1


def test_the_names_are_public_and_come_when_asked_for() -> None:
    """They are in `__all__`; what is not there is an AttributeError as everywhere."""
    names = {"report_outcome", "report_cost", "Report", "ReportRefused", "RefusalCode", "ReportState"}
    assert names <= set(agent_outcomes.__all__)
    with pytest.raises(AttributeError, match="no attribute 'report_outcomes'"):
        agent_outcomes.report_outcomes  # noqa: B018 - that it is none


def test_a_report_on_a_pruned_run(pipeline: LedgerPipeline) -> None:
    """Nobody knows what stood of it: told at once, as trying again does not help."""
    ended(pipeline, "old")
    store = store_at(pipeline.url)
    with store.database.engine.begin() as connection:
        connection.execute(schema.deliveries.update().values(state=DeliveryState.DELIVERED.value, payload=None))
    assert prune(store, time.time_ns() + 1) == 1
    reports: list[Callable[[], Report]] = [
        lambda: report_outcome(run_id="old", success=True, ledger=pipeline.url),
        lambda: report_cost(run_id="old", amount="1", ledger=pipeline.url),
    ]
    for report in reports:
        with pytest.raises(ReportRefused, match="the run was pruned") as refused:
            report()
        assert (refused.value.code, refused.value.retryable) == (RefusalCode.RUN_NOT_FOUND, False)
        assert not pickle.loads(pickle.dumps(refused.value)).retryable  # noqa: S301 - our own


def test_a_report_to_a_damaged_ledger(pipeline: LedgerPipeline) -> None:
    """It names what helps and is no error that passes: nobody waits for ten attempts at it."""
    ended(pipeline)
    with store_at(pipeline.url).database.engine.begin() as connection:
        connection.execute(schema.revisions.update().values(content=b"{"))
    with pytest.raises(ReportRefused, match="ledger verify names the first difference") as refused:
        report_outcome(run_id="ticket-1", success=True, ledger=pipeline.url)
    assert (refused.value.code, refused.value.retryable) == (RefusalCode.LEDGER_UNAVAILABLE, False)

# SPDX-License-Identifier: Apache-2.0
"""The demo sent to `agent-outcomes serve`: by its events, by its spans alone, and by both, in either order."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.gateway.demo_runs import (
    RUNS,
    Facts,
    by_status,
    cents,
    costs,
    exported_facts,
    facts_of_answer,
    page_text,
    run_demo,
    send,
    values,
)
from tests.integration.gateway.served import Served
from tests.integration.ledger.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends

SETTLED_IN_S: Final = 60.0


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo exported, once for all tests of this module."""
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder)
    return folder


def known_facts(gateway: Served) -> dict[str, Facts]:
    """All runs, once there are as many as the demo's and nothing is held any more."""
    gateway.wait_for(lambda: len(gateway.runs()) >= RUNS, SETTLED_IN_S)
    return {run["outcome_id"]: facts_of_answer(run) for run in gateway.runs()}


def check_page(gateway: Served, facts: dict[str, Facts]) -> None:
    """The page has the figures of these runs: how many, their verdicts, what each job type was worth and cost."""
    text = page_text(gateway.ask("/").body)
    assert f"Runs {RUNS:,} " in text
    reported = [each for each in facts.values() if each.type is not None]
    successes = sum(each.success is True for each in reported)
    assert f"{successes} of {len(reported)} reported" in text
    spent = costs(facts)
    for (job_type, currency), worth in values(facts).items():
        row = f"{cents(worth)} {currency} {cents(spent[job_type])} USD"
        assert re.search(rf"{job_type} \d+ \d+ {re.escape(row)}", text), (job_type, row)


def check_totals(gateway: Served, facts: dict[str, Facts]) -> None:
    """So has `/v1/totals`, to the last digit."""
    totals = gateway.ask("/v1/totals").body
    reported = [each for each in facts.values() if each.type is not None]
    assert (totals["runs"], totals["reported"], totals["pending"]) == (RUNS, len(reported), RUNS - len(reported))
    assert totals["successes"] == sum(each.success is True for each in reported)
    assert totals["funnel"] == {
        "total": RUNS,
        "successful": sum(each.status == "success" for each in facts.values()),
        "converted": sum((each.status, each.type) == ("success", "converted") for each in facts.values()),
        "deflected": sum((each.status, each.type) == ("success", "deflected") for each in facts.values()),
    }
    spent, rows = costs(facts), totals["job_types"]
    assert {row["job_type"]: Decimal(row["cost"]) for row in rows if row["currency"] == "USD"} == spent
    worth = {(row["job_type"], row["currency"]): Decimal(row["value"]) for row in rows}
    assert {key: amount for key, amount in worth.items() if amount} == values(facts)
    assert sum(row["outcomes"] for row in totals["outcomes"]) == len(reported)


@pytest.mark.parametrize("order", [("logs",), ("logs", "traces"), ("traces", "logs")], ids="-".join)
def test_runs_that_have_told_of_themselves_are_kept_as_told_and_counted_once(
    exported: Path, tmp_path: Path, order: tuple[str, ...]
) -> None:
    """Every fact is the event's; nothing is delivered of what their own process has counted, whichever came first."""
    expected, _ = exported_facts(exported)
    with (
        Receiver() as receiver,
        Served(tmp_path, "--settle-after=2", f"--deliver-to=http://127.0.0.1:{receiver.port}") as gateway,
    ):
        for signal in order:
            send(exported, signal, gateway.otlp_http)
        found = known_facts(gateway)
        assert found == expected
        check_page(gateway, expected)
        check_totals(gateway, expected)
        ready = gateway.ask("/readyz").body
        assert (ready["status"], ready["warnings"]) == ("ready", [])
        assert gateway.stop() == 0
    assert receiver.seen.uids() == {}
    assert receiver.seen.total("agent.runs") == 0


def test_of_spans_alone_the_same_runs_are_made(exported: Path, tmp_path: Path) -> None:
    """But for cancelled tasks, which leave nothing on a span: money to the last digit, delivered once."""
    expected, in_flight = exported_facts(exported)
    with (
        Receiver() as receiver,
        Served(tmp_path, "--settle-after=1", f"--deliver-to=http://127.0.0.1:{receiver.port}") as gateway,
    ):
        send(exported, "traces", gateway.otlp_http)
        found = known_facts(gateway)
        differing = {name for name, facts in expected.items() if found[name] != facts}
        assert differing == in_flight
        assert len(in_flight) == 18
        assert {found[name]._replace(status="cancelled") for name in differing} == {
            expected[name]._replace(status="cancelled") for name in differing
        }
        assert {found[name].status for name in differing} == {"success"}
        assert values(found) == values(expected)
        check_page(gateway, found)
        check_totals(gateway, found)
        gateway.wait_for(lambda: receiver.seen.uids().total() >= RUNS and receiver.seen.total("agent.runs") >= RUNS)
        assert gateway.stop() == 0
    assert set(receiver.seen.uids()) == {f"{name}-0" for name in expected}
    assert set(receiver.seen.uids().values()) == {1}
    assert receiver.seen.total("agent.runs") == RUNS
    assert sum(by_status(found).values()) == RUNS


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_demo_itself_sends_to_a_gateway(tmp_path: Path, protocol: str) -> None:
    """The SDK's own exporters, all three signals at once, as its users run it: every run once, and none twice."""
    with Served(tmp_path, "--settle-after=2") as gateway:
        endpoint = gateway.otlp_grpc if protocol == "grpc" else gateway.otlp_http
        out = tmp_path / "demo"
        assert "Check: events, metrics and traces agree" in run_demo(
            out, "--endpoint", endpoint, "--protocol", protocol
        )
        expected, _ = exported_facts(out)
        assert known_facts(gateway) == expected
        check_totals(gateway, expected)
        assert gateway.ask("/readyz").body["warnings"] == []

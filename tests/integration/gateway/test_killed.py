# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is kept, however and however often the gateway ends; `make soak` does it at length."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.called_agents import callee, caller
from tests.exported import LOCAL, Sent, agent, chat
from tests.integration.gateway.killed import killed_under_senders
from tests.integration.gateway.served import WAIT_S, Served

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.backends


def test_nothing_that_was_acknowledged_is_lost_or_counted_twice(tmp_path: Path) -> None:
    """Three ends under eight senders that send again what was not acknowledged."""
    figures = killed_under_senders(tmp_path, kills=3, senders=8, runs=60, seed=3)
    print(figures)
    assert figures[:5] == (480, 0, 480, 0, 0)


def sent(gateway: Served, spans: Sequence[Sent]) -> Any:
    """The answer to spans as a JavaScript exporter sends them, which must be 200."""
    lines = [json.loads(span.line()) for span in spans]
    body = json.dumps({"resourceSpans": [each for line in lines for each in line["resourceSpans"]]}).encode()
    request = Request(f"{gateway.otlp_http}/v1/traces", body, {"content-type": "application/json"})  # noqa: S310
    with build_opener(ProxyHandler({})).open(request, timeout=WAIT_S) as answer:
        return json.load(answer)


def counted(gateway: Served, count: int) -> dict[str, int | None]:
    """The input tokens of each agent's run, once there are so many."""
    gateway.wait_for(lambda: len(gateway.runs()) >= count)
    return {run["agent_name"]: run["input_tokens"] for run in gateway.runs()}


@pytest.mark.parametrize("kills", [0, 2])
@pytest.mark.parametrize("is_callee_first", [True, False])
def test_what_a_called_agent_has_used_is_counted_once(
    tmp_path: Path,
    ledger_url: str,
    kills: int,
    is_callee_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Whoever comes first, and however often the gateway is killed and started again between the two."""
    first, then = (callee(4), caller()) if is_callee_first else (caller(), callee(4))
    with Served(tmp_path, f"--ledger={ledger_url}", "--settle-after=0.1", "--otlp-grpc=none") as gateway:
        assert sent(gateway, first) == {}
        assert counted(gateway, 1) == ({"store": 310} if is_callee_first else {"desk": 380})
        for _ in range(kills):
            gateway.stop(signal.SIGKILL)
            gateway.start()
        assert sent(gateway, then) == {}
        found = counted(gateway, 2)
        assert found == ({"store": 310, "desk": 70} if is_callee_first else {"desk": 380, "store": None})
        totals = gateway.ask("/v1/runs").body["runs"]
        assert sum(run["input_tokens"] or 0 for run in totals) == 380


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_comes_too_late_is_told_by_the_next_process_too(
    tmp_path: Path, ledger_url: str, how: signal.Signals
) -> None:
    """An agent, or an outcome, of what has been counted: who sends it is warned, and nothing is counted twice."""
    run = [Sent(id=1, attributes=agent("desk")), Sent(id=2, parent=1, attributes=chat(10), flags=LOCAL)]
    late = [
        [Sent(id=8, parent=1, attributes=agent("nested"), flags=LOCAL)],
        [Sent(id=9, parent=2, attributes={"agent.outcome.value": "5.00"}, flags=LOCAL)],
    ]
    with Served(tmp_path, f"--ledger={ledger_url}", "--settle-after=0.1", "--otlp-grpc=none") as gateway:
        assert sent(gateway, run) == {}
        assert counted(gateway, 1) == {"desk": 10}
        gateway.stop(how)
        gateway.start()
        for spans in late:
            assert "too late" in sent(gateway, spans)["partialSuccess"]["errorMessage"]
        assert sent(gateway, run) == {}
        other = f"{7:032x}"
        assert sent(gateway, [Sent(id=1, trace=other, attributes=agent("other"))]) == {}
        assert counted(gateway, 2) == {"desk": 10, "other": None}
        figures = gateway.ask("/metrics").body
        assert f"agent_outcomes_gateway_assembly_lost_spans_total {len(late)}" in figures


def test_another_ledger_knows_nothing_of_what_was_counted_in_this_one(tmp_path: Path) -> None:
    """What is remembered in the state folder is of the ledger that has it: the same spans are counted in a new one."""
    run = [Sent(id=1, attributes=agent("desk")), Sent(id=2, parent=1, attributes=chat(10), flags=LOCAL)]
    for name in ("one.db", "other.db"):
        ledger = f"--ledger=sqlite:///{tmp_path / name}"
        with Served(tmp_path, ledger, "--settle-after=0.1", "--otlp-grpc=none") as gateway:
            assert sent(gateway, run) == {}
            assert counted(gateway, 1) == {"desk": 10}
            gateway.stop(signal.SIGKILL)

# SPDX-License-Identifier: Apache-2.0
"""What an agent in another process has used is counted there, where the spans of both processes are in one file."""

from __future__ import annotations

import pytest

from tests.called_agents import AWAY, POST, TOOL, called, callee, caller
from tests.exported import CLIENT, LOCAL, REMOTE, Sent, agent, chat, runs_in


@pytest.mark.parametrize("has_request", [True, False], ids=["below a request", "below the call"])
@pytest.mark.parametrize("tokens", [310, 300, 500])
def test_what_a_traced_callee_has_used_is_its_own(*, has_request: bool, tokens: int) -> None:
    """Whatever the call says of it; the caller keeps what it has used itself."""
    request = [Sent(id=5, parent=4, attributes=POST, kind=CLIENT, flags=LOCAL)] if has_request else []
    spans = [*caller(*request), *callee(5 if has_request else 4, tokens)]
    assert runs_in(spans) == [("desk", 70, 9, 1), ("store", tokens, 41, 1)]


def test_a_chain_of_agents_is_counted_where_each_was() -> None:
    """The one in the middle has used nothing itself."""
    middle = {"service.name": "broker"}
    spans = [
        Sent(id=1, attributes=agent("desk")),
        Sent(id=2, parent=1, attributes=called("broker", 310, 41), kind=CLIENT, flags=LOCAL),
        Sent(id=11, parent=2, attributes=agent("broker"), resource=middle, flags=REMOTE),
        Sent(id=12, parent=11, attributes=called("store", 310, 41), resource=middle, kind=CLIENT, flags=LOCAL),
        *callee(12),
    ]
    assert runs_in(spans) == [("desk", None, None, None), ("broker", None, None, None), ("store", 310, 41, 1)]


def test_without_its_spans_the_call_tells_what_an_agent_has_used() -> None:
    """Hosted agents send none."""
    assert runs_in(caller()) == [("desk", 380, 50, 1)]


def test_a_callee_that_reports_nothing_is_told_by_its_call() -> None:
    """Its spans may be those of a proxy."""
    spans = [*caller(), Sent(id=22, parent=4, attributes=agent("store"), resource=AWAY, flags=REMOTE)]
    assert runs_in(spans) == [("desk", 380, 50, 1), ("store", None, None, None)]


def test_an_agent_that_works_here_reports_its_own_work() -> None:
    """AutoGen marks the agents of its own process as clients; one of their tools may call another process."""
    spans = caller(
        Sent(id=5, parent=4, attributes=chat(310, 41), flags=LOCAL),
        Sent(id=6, parent=4, attributes=TOOL, flags=LOCAL),
        Sent(id=7, parent=6, attributes=POST, kind=CLIENT, flags=LOCAL),
    )
    assert runs_in([*spans, *callee(7, 20, 2)]) == [("desk", 380, 50, 2), ("store", 20, 2, 1)]


def test_an_internal_agent_span_is_no_call_of_another_process() -> None:
    """Its total is of what it has done itself."""
    spans = [*caller(kind=1), *callee(4, 20, 2)]
    assert runs_in(spans) == [("desk", 380, 50, 1), ("store", 20, 2, 1)]


def test_parents_in_a_circle_end_the_search() -> None:
    """Whoever sends such spans gets an answer."""
    spans = [*caller(Sent(id=8, parent=9), Sent(id=9, parent=8)), *callee(9)]
    assert ("desk", 380, 50, 1) in runs_in(spans)

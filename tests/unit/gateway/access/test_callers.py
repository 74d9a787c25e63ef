# SPDX-License-Identifier: Apache-2.0
"""What a caller may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.access.callers import LOCAL, Caller
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.keys import Right

pytestmark = pytest.mark.backends

INCLUDED = {Right.CORRECT: {Right.REPORT}, Right.ADMIN: set(Right)}


@given(st.frozensets(st.sampled_from(Right)))
def test_rights_include_others(rights: frozenset[Right]) -> None:
    """Who may correct may report, an administrator may all; nothing else follows from anything."""
    allowed = set(rights).union(*(INCLUDED.get(right, set()) for right in rights))
    assert {right for right in Right if Caller("crm", rights).may(right)} == allowed


@given(st.frozensets(st.text(max_size=5)), st.none() | st.text(max_size=5))
def test_a_key_of_agents_sees_theirs_only(agents: frozenset[str], agent: str | None) -> None:
    caller = Caller("crm", frozenset({Right.READ}), agents)
    assert caller.sees(agent) == (agent in agents)
    assert caller._replace(agents=None).sees(agent)
    assert caller.reporter().may_speak_for(agent) == caller.sees(agent)


def test_the_right_to_correct_may_be_left_aside() -> None:
    caller = Caller("crm", frozenset({Right.CORRECT}), frozenset({"bot"}))
    assert caller.reporter() == Reporter("crm", frozenset({"bot"}), may_correct=True)
    assert not caller.reporter(may_correct=False).may_correct
    assert not Caller("crm", frozenset({Right.REPORT})).reporter().may_correct
    assert LOCAL.reporter().may_correct

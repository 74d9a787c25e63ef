# SPDX-License-Identifier: Apache-2.0
"""Deadlines of connections, with time given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.serving.progress import RATE_GRACE_S, WRITE_TIMEOUT_S, ConnectionProgress, Phase
from agent_outcomes.gateway.settings import ReceiverLimits

pytestmark = pytest.mark.backends

LIMITS = ReceiverLimits(header_timeout_s=10, body_timeout_s=30, body_min_bytes_per_s=1024, idle_timeout_s=25)
ALLOWED_S = {Phase.IDLE: 25.0, Phase.HEADERS: 10.0}


@pytest.mark.parametrize("phase", ALLOWED_S)
def test_each_wait_has_its_limit(phase: Phase) -> None:
    """Silence between requests and half a header, to the moment."""
    progress = ConnectionProgress(100.0)
    progress.enter(phase, 100.0)
    assert not progress.is_overdue(100.0 + ALLOWED_S[phase], LIMITS)
    assert progress.is_overdue(100.01 + ALLOWED_S[phase], LIMITS)


def test_who_connects_and_stays_silent_has_as_long_as_for_a_header() -> None:
    """A new connection is waited for like a header."""
    assert ConnectionProgress(5.0).is_overdue(15.1, LIMITS)


@given(st.floats(0, 29), st.integers(0, 100_000))
def test_a_body_must_come_at_its_rate(took_s: float, body_bytes: int) -> None:
    """Overdue exactly where fewer bytes came than the time since the grace asks for."""
    progress = ConnectionProgress(0.0)
    progress.enter(Phase.BODY, 0.0)
    progress.body_bytes = body_bytes
    assert progress.is_overdue(took_s, LIMITS) == (body_bytes < (took_s - RATE_GRACE_S) * 1024)


def test_a_body_that_was_not_read_is_excused() -> None:
    """Time in which the gateway itself did not read does not count."""
    progress = ConnectionProgress(0.0)
    progress.enter(Phase.BODY, 0.0)
    progress.excuse(40.0)
    assert not progress.is_overdue(44.0, LIMITS)
    assert progress.is_overdue(80.0, LIMITS)


def test_the_application_s_time_is_not_the_peer_s() -> None:
    """While an answer is made nobody is overdue, but who does not read one is."""
    progress = ConnectionProgress(0.0)
    progress.enter(Phase.ANSWER, 0.0)
    assert not progress.is_overdue(10_000.0, LIMITS)
    progress.unread_since_s = 10_000.0
    assert progress.is_overdue(10_000.1 + WRITE_TIMEOUT_S, LIMITS)
    assert not progress.is_evictable

# SPDX-License-Identifier: Apache-2.0
"""Connections and the files that a process may open: raised as far as needed and allowed, else fewer connections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_outcomes.gateway.serving import descriptors
from agent_outcomes.gateway.serving.addresses import doors
from agent_outcomes.gateway.serving.descriptors import KEPT_FREE, with_room
from agent_outcomes.gateway.settings import GatewaySettings, ReceiverLimits

INFINITY: Final = -1


class System:
    """A system with these limits, which may allow less than it says."""

    RLIMIT_NOFILE = 7
    RLIM_INFINITY = INFINITY

    def __init__(self, soft: int, hard: int, allowed: int) -> None:
        self.limits, self.allowed = (soft, hard), allowed

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, _: int, limits: tuple[int, int]) -> None:
        if limits[0] > self.allowed:
            raise ValueError
        self.limits = limits


SYSTEMS: Final = st.builds(
    lambda soft, more, top: System(soft, INFINITY if more is None else soft + more, top),
    st.integers(KEPT_FREE + 3, 70_000),
    st.none() | st.integers(0, 70_000),
    st.integers(KEPT_FREE + 3, 200_000),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SYSTEMS, st.integers(1, 5_000), st.sets(st.sampled_from(range(3))))
def test_all_connections_fit_within_the_limit(
    monkeypatch: pytest.MonkeyPatch, system: System, connections: int, closed: set[int]
) -> None:
    """At least one a listener, never more than was asked for, and as many as that if the system allows it."""
    soft, hard = system.limits
    monkeypatch.setattr(descriptors, "resource", system)
    shut = {name: None for place, name in enumerate(("otlp_grpc", "otlp_http", "listen")) if place in closed}
    given_settings = GatewaySettings("sqlite:///x.db", Path("/x"), receiver=ReceiverLimits(connections_max=connections))
    asked = replace(given_settings, **shut)  # type: ignore[arg-type] # addresses
    made = with_room(asked)
    listeners = len(doors(asked))
    needed = listeners * connections + KEPT_FREE
    found = made.receiver.connections_max
    assert 1 <= found <= connections
    assert replace(made, receiver=asked.receiver) == asked
    if listeners:
        assert listeners * found + KEPT_FREE <= system.limits[0] or found == 1
        may_rise = needed <= system.allowed and (hard == INFINITY or needed <= hard)
        assert found == connections or not (soft >= needed or may_rise)
    assert system.limits[0] >= soft


@pytest.mark.parametrize("system", [System(INFINITY, INFINITY, 0), None])
def test_without_a_limit_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, system: System | None) -> None:
    """As where there is none, and on a system that knows none."""
    monkeypatch.setattr(descriptors, "resource", system)
    asked = GatewaySettings("sqlite:///x.db", Path("/x"))
    assert with_room(asked) is asked

# SPDX-License-Identifier: Apache-2.0
"""Own metrics as text."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a dataclass
from dataclasses import dataclass, field

import pytest

from agent_outcomes.gateway.serving.exposition import Part, exposition

pytestmark = pytest.mark.backends


@dataclass(frozen=True, slots=True)
class Counted:
    spans: int = 3
    held_now: int = 2
    wait_s_now: float = 0.25
    lost: Mapping[str, int] = field(default_factory=lambda: {"full": 1, 'a"b\\c\nd': 4})


def test_counters_gauges_and_reasons() -> None:
    """A field is a counter, `_now` a gauge, a mapping has a label, and texts of others are escaped."""
    assert exposition((Part("room", Counted()),), '1.0"').splitlines() == [
        "# TYPE agent_outcomes_gateway_info gauge",
        r'agent_outcomes_gateway_info{version="1.0\""} 1',
        "# TYPE agent_outcomes_gateway_room_spans_total counter",
        "agent_outcomes_gateway_room_spans_total 3",
        "# TYPE agent_outcomes_gateway_room_held gauge",
        "agent_outcomes_gateway_room_held 2",
        "# TYPE agent_outcomes_gateway_room_wait_s gauge",
        "agent_outcomes_gateway_room_wait_s 0.25",
        "# TYPE agent_outcomes_gateway_room_lost_total counter",
        r'agent_outcomes_gateway_room_lost_total{reason="a\"b\\c\nd"} 4',
        'agent_outcomes_gateway_room_lost_total{reason="full"} 1',
    ]

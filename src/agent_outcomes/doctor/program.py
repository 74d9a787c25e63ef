# SPDX-License-Identifier: Apache-2.0
"""What is seen of a program from its inside, as plain data that one process writes and another reads. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Output(StrEnum):
    """What there is to take events, or metrics."""

    PRESENT = "present"
    MISSING = "missing"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class SpanSeen:
    """Spans of one scope and name: whether they are an agent's, how many were started and how many have ended."""

    scope: str
    name: str
    is_agent: bool
    started: int
    ended: int


@dataclass(frozen=True, slots=True)
class ProviderSeen:
    """A tracer provider: `processors` counts the outcome processors on it, `places` are where they were attached."""

    is_global: bool
    sampler: str
    can_drop: bool
    processors: int
    places: tuple[str, ...] = ()
    spans: int = 0


@dataclass(frozen=True, slots=True)
class DropSeen:
    """Events or metrics that were made and not handed over."""

    reason: str
    signal: str
    count: int


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One process. `error` says why nothing could be seen of it."""

    pid: int
    is_watched: bool = False
    providers: tuple[ProviderSeen, ...] = ()
    spans: tuple[SpanSeen, ...] = ()
    logs: Output = Output.PRESENT
    metrics: Output = Output.PRESENT
    events: int = 0
    drops: tuple[DropSeen, ...] = field(default=())
    error: str = ""

    @property
    def agents_ended(self) -> int:
        """How many spans of agents have ended."""
        return sum(span.ended for span in self.spans if span.is_agent)

    @property
    def spans_started(self) -> int:
        """How many spans were started, as far as they are recorded."""
        return sum(span.started for span in self.spans)


def to_json(state: ProgramState) -> str:
    """The state as one JSON object."""
    return json.dumps(asdict(state))


def from_json(text: str, pid: int) -> ProgramState:
    """The state that `to_json` wrote, or less. Raises `ValueError` or `TypeError` on anything else."""
    fields: dict[str, Any] = json.loads(text)
    parts = {
        "pid": pid,
        "providers": tuple(
            ProviderSeen(**{**one, "places": tuple(one["places"])}) for one in fields.pop("providers", ())
        ),
        "spans": tuple(SpanSeen(**one) for one in fields.pop("spans", ())),
        "drops": tuple(DropSeen(**one) for one in fields.pop("drops", ())),
        "logs": Output(fields.pop("logs", Output.PRESENT)),
        "metrics": Output(fields.pop("metrics", Output.PRESENT)),
    }
    return ProgramState(**{**fields, **parts})

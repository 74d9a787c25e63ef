# SPDX-License-Identifier: Apache-2.0
"""Random traces of processes that call each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.called_agents import AWAY
from tests.exported import CLIENT, LOCAL, REMOTE, SERVER, SERVICE, Sent, agent, chat

if TYPE_CHECKING:
    import random


def forest(chance: random.Random) -> list[Sent]:
    """Spans of a few processes that call each other, agents among them, in two traces."""
    spans: list[Sent] = []
    for number in range(chance.randint(1, 24)):
        above = chance.choice(spans) if spans and chance.random() < 0.85 else None
        resource = SERVICE if above is None else above.resource
        kind, flags = chance.choice([1, 1, 3]), chance.choice([LOCAL, LOCAL, LOCAL, None])
        if above is not None and chance.random() < 0.25:
            resource, kind, flags = chance.choice([SERVICE, AWAY]), SERVER, REMOTE
            above = replace(above, kind=CLIENT)
        attributes: dict[str, str | int] = chance.choice(
            [agent(f"agent {number}"), chat(number + 1), {}, {"agent.outcome.label": "done"}]
        )
        spans.append(
            Sent(
                id=number + 1,
                parent=None if above is None else above.id,
                trace=f"{chance.randint(1, 2):032x}" if above is None else above.trace,
                resource=resource,
                kind=kind,
                flags=flags,
                attributes=attributes,
                start_us=number * 10,
                end_us=10_000 - number,
            )
        )
    return spans

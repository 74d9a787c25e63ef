# SPDX-License-Identifier: Apache-2.0
"""Spans of an agent that calls one in another process, and of that one."""

from __future__ import annotations

from typing import Final

from tests.exported import CLIENT, LOCAL, REMOTE, SERVER, Sent, agent, chat

AWAY: Final = {"service.name": "stock"}
POST: Final = {"http.request.method": "POST"}
TOOL: Final = {"gen_ai.operation.name": "execute_tool"}


def called(name: str, tokens: int, output: int) -> dict[str, str | int]:
    """An agent's span with a total."""
    return {**chat(tokens, output), **agent(name)}


def caller(*between: Sent, kind: int = CLIENT) -> list[Sent]:
    """An agent with a call of its own, and by a tool the call of another agent, whose span has id 4."""
    return [
        Sent(id=1, attributes=agent("desk")),
        Sent(id=2, parent=1, attributes=chat(70, 9), flags=LOCAL),
        Sent(id=3, parent=1, attributes=TOOL, flags=LOCAL),
        Sent(id=4, parent=3, attributes=called("store", 310, 41), kind=kind, flags=LOCAL),
        *between,
    ]


def callee(parent: int, tokens: int = 310, output: int = 41) -> list[Sent]:
    """The other process: a server around an agent with one call."""
    return [
        Sent(id=21, parent=parent, attributes=POST, resource=AWAY, kind=SERVER, flags=REMOTE),
        Sent(id=22, parent=21, attributes=agent("store"), resource=AWAY, flags=LOCAL),
        Sent(id=23, parent=22, attributes=chat(tokens, output), resource=AWAY, flags=LOCAL),
    ]

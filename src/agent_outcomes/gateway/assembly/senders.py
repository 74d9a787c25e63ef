# SPDX-License-Identifier: Apache-2.0
"""Runs that a key which is bound to agents may not make, as far as one request tells.

Whose a span is that is below others shows when they have come; what is refused then can only be counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.assembly.agent_marks import is_agents_scope, may_hold_agents
from agent_outcomes.gateway.assembly.heads import may_be_topmost
from agent_outcomes.gateway.assembly.held import HeldScope, HeldSpan
from agent_outcomes.gateway.assembly.parts import TracePart
from agent_outcomes.gateway.assembly.settling import scope_of, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.gateway.wire.frames import ScopeFrames, SpanFrame
    from agent_outcomes.gateway.wire.intake import Sender

REFUSED: Final = (
    "runs were left out of agents that the key may not speak for; agent-outcomes keys create --agent NAME names one, "
    "and without --agent a key is for all"
)


class Allowed(NamedTuple):
    """The spans that may be held, and how many may not."""

    scopes: list[ScopeFrames]
    refused_count: int


def allowed(scopes: Sequence[ScopeFrames], sender: Sender | None) -> Allowed:
    """Leave out spans that are runs of agents which their sender may not speak for, whatever else comes."""
    if sender is None or sender.agents is None:
        return Allowed([*scopes], 0)
    kept = [
        each._replace(spans=[frame for frame in each.spans if not _is_anothers(frame, each, sender)]) for each in scopes
    ]
    count = sum(len(each.spans) for each in scopes) - sum(len(each.spans) for each in kept)
    return Allowed(kept, count)


def _is_anothers(frame: SpanFrame, scope: ScopeFrames, sender: Sender) -> bool:
    if not may_be_topmost(frame.encoded):
        return False
    if not may_hold_agents(frame.encoded) and not is_agents_scope(scope_of(scope.scope).name):
        return False
    span = HeldSpan(frame, HeldScope(scope.resource, scope.scope, may_hold_agents=True), 0, 0.0)
    alone = settle(TracePart(frame.trace_id, (span,), span, is_whole=True), lambda _: True)
    names = {each.run.agent_name for each in alone.acceptances}
    # One that says no name of its own may have it of what is below it.
    return any(name is not None and not sender.may_speak_for(name) for name in names)

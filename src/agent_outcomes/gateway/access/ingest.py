# SPDX-License-Identifier: Apache-2.0
"""Who may send telemetry: whoever has a key with the right to ingest, or is let in without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.gateway.access.admission import NOT_ALLOWED, NotAdmitted
from agent_outcomes.gateway.access.callers import LOCAL
from agent_outcomes.gateway.wire.intake import Sender
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.gateway.access.context import GatewayContext

_LACKS: Final = "the key lacks the right to ingest; agent-outcomes keys create --may ingest makes one that has it"


def authorizer(
    context: GatewayContext,
) -> Callable[[Mapping[str, str], str | None], Coroutine[Any, Any, NotAdmitted | Sender | None]]:
    """What tells of a request's headers (names in lower case) and its sender's address who sends it, if that is known.

    Why one is not let in is returned, and not raised. It raises what the ledger and `run_blocking` raise.
    """

    async def authorize(headers: Mapping[str, str], peer_host: str | None) -> NotAdmitted | Sender | None:
        try:
            caller = await context.admission.sender_of(headers, peer_host)
        except NotAdmitted as refusal:
            return refusal
        return _sender(caller) if caller.may(Right.INGEST) else NotAdmitted(403, NOT_ALLOWED, _LACKS)

    return authorize


def _sender(caller: Caller) -> Sender | None:
    """The caller as the intake takes a sender; whoever is let in without a key is none."""
    if caller is LOCAL:
        return None
    return Sender(caller.name, caller.agents, caller.may(Right.REPORT), caller.may(Right.CORRECT))

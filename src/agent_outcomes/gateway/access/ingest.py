# SPDX-License-Identifier: Apache-2.0
"""Who may send telemetry: whoever has a key with the right to ingest, or is let in without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.gateway.access.admission import NOT_ALLOWED, NotAdmitted
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from agent_outcomes.gateway.access.context import GatewayContext

_LACKS: Final = "the key lacks the right to ingest; agent-outcomes keys create --may ingest makes one that has it"


def authorizer(
    context: GatewayContext,
) -> Callable[[Mapping[str, str], str | None], Coroutine[Any, Any, NotAdmitted | None]]:
    """What tells of a request's headers (names in lower case) and its sender's address why it is not let in, if so.

    What it returns is not raised. It raises what the ledger and `run_blocking` raise.
    """

    async def authorize(headers: Mapping[str, str], peer_host: str | None) -> NotAdmitted | None:
        try:
            caller = await context.admission.sender_of(headers, peer_host)
        except NotAdmitted as refusal:
            return refusal
        return None if caller.may(Right.INGEST) else NotAdmitted(403, NOT_ALLOWED, _LACKS)

    return authorize

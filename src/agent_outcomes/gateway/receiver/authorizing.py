# SPDX-License-Identifier: Apache-2.0
"""Who may send: asked of whoever knows, before anything else of a request is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent_outcomes.gateway.wire.intake import Sender


class Refusal(NamedTuple):
    """Why a sender may not: 401 where it is not known who it is, 403 where it is, 429 where it has sent too much.

    The message says what to change, `retry_after_s` when the same request may be sent again, if ever.
    """

    status: int
    message: str
    retry_after_s: float | None = None


Authorizer = Callable[[Mapping[str, str], str | None], Awaitable["Refusal | Sender | None"]]
"""Asked with a request's headers, their names in lower case, and the host it comes from, if that is known.

Answers who sends, or `None` where there are no keys to tell that by.
"""

# SPDX-License-Identifier: Apache-2.0
"""What a received request is handed on as, and what whoever takes it answers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from agent_outcomes.otel_variables import OtlpSignal


class Packing(StrEnum):
    """How the bytes of a request are compressed; the values are those of `Content-Encoding`."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


class Sender(NamedTuple):
    """Who sends with a key: its name, the agents that it may speak for (`None`: all), and what it may do besides."""

    name: str
    agents: frozenset[str] | None = None
    may_report: bool = False
    may_correct: bool = False

    def may_speak_for(self, agent_name: str | None) -> bool:
        """Whether runs of this agent may be made of what it sends; those of no named agent only who is bound to none.

        The same as for a reporter, and for whoever calls the API.
        """
        return self.agents is None or agent_name in self.agents


class ExportRequest(NamedTuple):
    """A request as encoded Protobuf: `body` inflated, `packed` as it came, for who keeps it or passes it on.

    Without a `sender` there are no keys, and all may do everything.
    """

    signal: OtlpSignal
    body: bytes
    packed: bytes
    packing: Packing
    sender: Sender | None = None


class Taken(NamedTuple):
    """That a request is taken and will not be lost: how many of its items were rejected, and words for the sender.

    The words may also be a warning, and must hold nothing of the request.
    """

    rejected: int = 0
    message: str = ""


class IntakeUnavailable(Exception):  # noqa: N818 - a state rather than an error
    """Nothing of the request was kept; it can be sent again after so many seconds."""

    def __init__(self, retry_after_s: float, message: str) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.message = message


class Intake(Protocol):
    """Whoever takes requests."""

    async def take(self, request: ExportRequest) -> Taken:
        """Keep what the request contributes, durably, before this returns.

        Raises `IntakeUnavailable` where it cannot be kept now, `WireError` where it can never be read.
        """
        ...

# SPDX-License-Identifier: Apache-2.0
"""Every reason for which a request is not taken, and how HTTP and gRPC say it: a table.

What can be sent again says so, and when: of HTTP the status 429 or 503 with `Retry-After`, of gRPC `UNAVAILABLE` with a
`RetryInfo`. Anything else is dropped by those who sent it (OTLP specification 1.x, "Failures").
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping

# The exporters of Python give up a batch whose wait would go beyond their 10 seconds.
RETRY_AFTER_MOST_S: Final = 5.0
RETRY_AFTER_LEAST_S: Final = 1.0


class RefusalReason(StrEnum):
    """Why a request is not taken."""

    UNREADABLE = "unreadable"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    NO_SUCH_PATH = "no_such_path"
    NO_SUCH_METHOD = "no_such_method"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


class Statuses(NamedTuple):
    """How a reason is said."""

    http: int
    of_grpc: grpc.StatusCode


STATUSES: Final[Mapping[RefusalReason, Statuses]] = {
    RefusalReason.UNREADABLE: Statuses(400, grpc.StatusCode.INVALID_ARGUMENT),
    RefusalReason.UNAUTHENTICATED: Statuses(401, grpc.StatusCode.UNAUTHENTICATED),
    RefusalReason.FORBIDDEN: Statuses(403, grpc.StatusCode.PERMISSION_DENIED),
    RefusalReason.RATE_LIMITED: Statuses(429, grpc.StatusCode.UNAVAILABLE),
    RefusalReason.NO_SUCH_PATH: Statuses(404, grpc.StatusCode.UNIMPLEMENTED),
    RefusalReason.NO_SUCH_METHOD: Statuses(405, grpc.StatusCode.UNIMPLEMENTED),
    RefusalReason.TOO_LARGE: Statuses(413, grpc.StatusCode.RESOURCE_EXHAUSTED),
    RefusalReason.UNSUPPORTED: Statuses(415, grpc.StatusCode.UNIMPLEMENTED),
    RefusalReason.BUSY: Statuses(503, grpc.StatusCode.UNAVAILABLE),
    RefusalReason.UNAVAILABLE: Statuses(503, grpc.StatusCode.UNAVAILABLE),
    # Nothing was kept, so that it may be sent again: whatever went wrong here is not the sender's fault.
    RefusalReason.FAILED: Statuses(503, grpc.StatusCode.UNAVAILABLE),
}


class RefusedError(Exception):
    """The request is not taken; where it may be sent again, `retry_after_s` says when."""

    def __init__(self, reason: RefusalReason, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after_s = (
            None if retry_after_s is None else min(max(retry_after_s, RETRY_AFTER_LEAST_S), RETRY_AFTER_MOST_S)
        )

    def bare(self) -> RefusedError:
        """The same without where it came from: a traceback keeps alive what was read of the request."""
        return RefusedError(self.reason, self.message, self.retry_after_s)

    @property
    def statuses(self) -> Statuses:
        """How it is said."""
        return STATUSES[self.reason]

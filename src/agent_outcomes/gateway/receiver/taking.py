# SPDX-License-Identifier: Apache-2.0
"""A request whose bytes have come, however they came: authorised, inflated, handed on, and what came of it."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.receiver.authorizing import Refusal
from agent_outcomes.gateway.receiver.refusals import RETRY_AFTER_MOST_S, STATUSES, RefusalReason, RefusedError
from agent_outcomes.gateway.wire.errors import TooMuchError, WireError
from agent_outcomes.gateway.wire.intake import ExportRequest, IntakeUnavailable, Packing
from agent_outcomes.gateway.wire.unpacking import unpack, unpack_zlib
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.receiver.authorizing import Authorizer
    from agent_outcomes.gateway.receiver.counts import Held, ReceiverCounts
    from agent_outcomes.gateway.settings import ReceiverLimits
    from agent_outcomes.gateway.wire.intake import Intake, Sender, Taken

_REASONS: Final[Mapping[int, RefusalReason]] = {
    STATUSES[reason].http: reason
    for reason in (RefusalReason.UNAUTHENTICATED, RefusalReason.FORBIDDEN, RefusalReason.RATE_LIMITED)
}
_logger: Final = LimitedLog(logging.getLogger(__name__))


class OtlpDoor:
    """What every listener does with a request, whatever the protocol it came by."""

    def __init__(self, intake: Intake, authorize: Authorizer, limits: ReceiverLimits, counts: ReceiverCounts) -> None:
        self.limits = limits
        self.counts = counts
        self._intake = intake
        self._authorize = authorize

    async def admit(self, headers: Mapping[str, str], peer_host: str | None) -> Sender | None:
        """Who sends. Raises `RefusedError` where the sender may not send, or where nobody can say now."""
        try:
            found = await self._authorize(headers, peer_host)
        except Exception as error:
            raise self._failed(error) from error
        if isinstance(found, Refusal):
            raise RefusedError(_REASONS[found.status], found.message, found.retry_after_s)
        return found

    def unpacked(self, packed: bytes, packing: Packing, held: Held) -> bytes:
        """The body before its compression. Raises `RefusedError`."""
        self.counts.received_bytes += len(packed)
        try:
            body = unpack(packed, packing, self.limits)
        except WireError as error:
            raise unreadable(error) from error
        return self._noted(body, held) if packing is not Packing.IDENTITY else body

    def unpacked_zlib(self, packed: bytes, held: Held) -> bytes:
        """The same of `deflate`, which gRPC has and nobody keeps. Raises `RefusedError`."""
        try:
            return self._noted(unpack_zlib(packed, self.limits), held)
        except WireError as error:
            raise unreadable(error) from error

    async def take(self, request: ExportRequest) -> Taken:
        """What came of a request that is handed on. Raises `RefusedError`."""
        try:
            taken = await self._intake.take(request)
        except WireError as error:
            raise unreadable(error) from error
        except IntakeUnavailable as unavailable:
            raise RefusedError(
                RefusalReason.UNAVAILABLE, unavailable.message, unavailable.retry_after_s
            ) from unavailable
        except Exception as error:
            raise self._failed(error) from error
        self.counts.taken += 1
        self.counts.items_rejected += taken.rejected
        return taken

    def _noted(self, inflated: bytes, held: Held) -> bytes:
        self.counts.inflated_bytes += len(inflated)
        held.add(len(inflated))
        return inflated

    def _failed(self, error: Exception) -> RefusedError:
        # By class and place alone: its text may hold what must not be logged.
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__qualname__
        _logger.warning(kind, "a request could not be taken: %s in %s, line %s", kind, place.name, place.lineno)
        return RefusedError(RefusalReason.FAILED, "the gateway failed; see its log", RETRY_AFTER_MOST_S)


def unreadable(error: WireError) -> RefusedError:
    """What is said of a body that cannot be read, or is too large."""
    return RefusedError(
        RefusalReason.TOO_LARGE if isinstance(error, TooMuchError) else RefusalReason.UNREADABLE, str(error)
    )

# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP as one ASGI application; limits of headers, connections and time are its server's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.gateway.receiver.counts import under_way
from agent_outcomes.gateway.receiver.json_bodies import protobuf_of
from agent_outcomes.gateway.receiver.refusals import RefusalReason, RefusedError
from agent_outcomes.gateway.receiver.replies import json_response, json_status, response, status
from agent_outcomes.gateway.receiver.taking import OtlpDoor, unreadable
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.replies import JSON, PROTOBUF, media_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.receiver.authorizing import Authorizer
    from agent_outcomes.gateway.receiver.counts import Held, ReceiverCounts
    from agent_outcomes.gateway.settings import ReceiverLimits
    from agent_outcomes.gateway.wire.intake import Intake, Sender, Taken

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SIGNALS: Final[Mapping[str, OtlpSignal]] = {signal.path: signal for signal in OtlpSignal}
# What a sender that has been refused may still send before it is cut off, so that it reads why it was.
DRAINED_MAX_BYTES: Final = 64 * 2**20
# A body in JSON beyond this is read beside the event loop.
_SMALL_BYTES: Final = 16 * 2**10
_PACKINGS: Final[Mapping[str, Packing]] = {
    "": Packing.IDENTITY,
    "x-gzip": Packing.GZIP,
    **{packing.value: packing for packing in Packing},
}
_RETRY_HEADER: Final = b"retry-after"


class _BrokenOffError(Exception):
    """The sender has gone."""


class _Asked(NamedTuple):
    """What the head of a request says."""

    signal: OtlpSignal
    is_json: bool
    packing: Packing
    size_bytes: int | None
    sender: Sender | None


class OtlpHttp:
    """The ASGI application; called with the scope type `http` alone."""

    def __init__(self, intake: Intake, authorize: Authorizer, limits: ReceiverLimits, counts: ReceiverCounts) -> None:
        self._door = OtlpDoor(intake, authorize, limits, counts)
        self._limits = limits
        self._counts = counts
        self._reading_json = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises only where the task is cancelled."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = _Body(receive)
        try:
            asked = await self._asked(scope, headers)
            taken = await self._taken(asked, body)
        except _BrokenOffError:
            self._counts.broken_off += 1
            return
        except RefusedError as error:
            refused = error.bare()
        else:
            content = json_response(taken, asked.signal) if asked.is_json else response(taken)
            await _answer(send, 200, JSON if asked.is_json else PROTOBUF, content)
            return
        self._counts.refused[refused.reason] += 1
        await _refuse(refused, headers, body, send)

    async def _asked(self, scope: Scope, headers: Mapping[str, str]) -> _Asked:
        """What the head asks for, once the sender is known to be allowed. Raises `RefusedError`."""
        client = scope.get("client")
        sender = await self._door.admit(headers, client[0] if client else None)
        signal = SIGNALS.get(scope["path"])
        if signal is None:
            raise RefusedError(RefusalReason.NO_SUCH_PATH, f"no such path; OTLP is taken at {', '.join(SIGNALS)}")
        if scope["method"] != "POST":
            raise RefusedError(RefusalReason.NO_SUCH_METHOD, "OTLP is sent by POST")
        kind = media_type(headers.get("content-type", ""))
        if kind not in {PROTOBUF, JSON}:
            raise RefusedError(RefusalReason.UNSUPPORTED, f"the Content-Type must be {PROTOBUF} or {JSON}")
        packing = _PACKINGS.get(headers.get("content-encoding", "").strip().lower())
        if packing is None:
            raise RefusedError(RefusalReason.UNSUPPORTED, "the Content-Encoding must be gzip, zstd or none")
        length = headers.get("content-length", "")
        size_bytes = int(length) if length.isdecimal() else None
        if size_bytes is not None and size_bytes > self._limits.body_max_bytes:
            raise _too_large(self._limits)
        return _Asked(signal, kind == JSON, packing, size_bytes, sender)

    async def _taken(self, asked: _Asked, body: _Body) -> Taken:
        """What came of the request's body. Raises `RefusedError`, or that the sender has gone."""
        with under_way(self._counts, self._limits) as held:
            packed = await body.read(self._limits, held)
            unpacked = self._door.unpacked(packed, asked.packing, held)
            if not asked.is_json:
                return await self._door.take(ExportRequest(asked.signal, unpacked, packed, asked.packing, asked.sender))
            encoded = await self._from_json(unpacked, asked.signal)
            return await self._door.take(ExportRequest(asked.signal, encoded, encoded, Packing.IDENTITY, asked.sender))

    async def _from_json(self, text: bytes, signal: OtlpSignal) -> bytes:
        if len(text) > self._limits.body_max_bytes:
            message = f"the JSON is larger than {self._limits.body_max_bytes} bytes; send Protobuf or smaller batches"
            raise RefusedError(RefusalReason.TOO_LARGE, message)
        try:
            if len(text) <= _SMALL_BYTES:
                return protobuf_of(text, signal)
            # One at a time, as what is read of JSON takes many times the memory of its text.
            async with self._reading_json:
                return await asyncio.to_thread(protobuf_of, text, signal)
        except WireError as error:
            raise unreadable(error) from error


class _Body:
    """The body of a request, as its server hands it over piece by piece."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_whole = False

    async def read(self, limits: ReceiverLimits, held: Held) -> bytes:
        """All of it. Raises `RefusedError` where it is too large, or that the sender has gone."""
        pieces: list[bytes] = []
        size = 0
        while not self.is_whole:
            piece = await self._piece()
            size += len(piece)
            if size > limits.body_max_bytes:
                raise _too_large(limits)
            held.add(len(piece))
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def drain(self) -> bool:
        """Take the rest of it and keep none, to a bound; whether the end came before that."""
        size = 0
        while not self.is_whole and size <= DRAINED_MAX_BYTES:
            size += len(await self._piece())
        return self.is_whole

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise _BrokenOffError
        self.is_whole = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece


def _too_large(limits: ReceiverLimits) -> RefusedError:
    message = f"the body is larger than {limits.body_max_bytes} bytes; send smaller batches"
    return RefusedError(RefusalReason.TOO_LARGE, message)


async def _refuse(refused: RefusedError, headers: Mapping[str, str], body: _Body, send: Send) -> None:
    """Say why the request is not taken, after the rest of it has come: who is still sending reads no answer."""
    try:
        # Who waits to be asked for the body is not asked for it.
        is_drained = "expect" not in headers and await body.drain()
    except _BrokenOffError:
        return
    extra: list[tuple[bytes, bytes]] = [] if is_drained else [(b"connection", b"close")]
    if refused.retry_after_s is not None:
        extra.append((_RETRY_HEADER, str(math.ceil(refused.retry_after_s)).encode()))
    if refused.reason is RefusalReason.UNAUTHENTICATED:
        extra.append((b"www-authenticate", b"Bearer"))
    elif refused.reason is RefusalReason.NO_SUCH_METHOD:
        extra.append((b"allow", b"POST"))
    elif refused.reason is RefusalReason.UNSUPPORTED:
        extra.append((b"accept-encoding", b"gzip, zstd"))
    is_protobuf = media_type(headers.get("content-type", "")) == PROTOBUF
    content = status(refused) if is_protobuf else json_status(refused)
    await _answer(send, refused.statuses.http, PROTOBUF if is_protobuf else JSON, content, extra)


async def _answer(
    send: Send, code: int, kind: str, content: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": content})

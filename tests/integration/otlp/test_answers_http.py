# SPDX-License-Identifier: Apache-2.0
"""Every kind of reply that an HTTP receiver can give, from a real socket, and what the client makes of it."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from email.utils import formatdate
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.answers import ASKED_WAIT_MAX_S, HTTP_RULINGS, Reason, Verdict
from agent_outcomes.otlp.client import OtlpClient
from agent_outcomes.otlp.endpoints import target_at
from tests.integration.otlp.payloads import partial, payload
from tests.integration.scripted_receiver import HttpReceiver, Reply, http_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

DELIVERED, RETRY, REFUSED, MISCONFIGURED = Verdict
MIB = 2**20


def raw(*pieces: bytes) -> Reply:
    """These bytes, and the end of the connection."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        for piece in pieces:
            handler.wfile.write(piece)
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    return Reply(write=write, is_taken=False)


def typed(kind: str, body: bytes, status: int = 200) -> Reply:
    return Reply(status, {"content-type": kind}, body)


def bomb(size_mib: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size_mib)) + packer.flush()


BOMB = bomb(400)
ROWS: dict[str, tuple[Reply, Verdict, Reason]] = {
    "200": (Reply(), DELIVERED, Reason.DELIVERED),
    "202": (Reply(202), DELIVERED, Reason.DELIVERED),
    "204": (Reply(204), DELIVERED, Reason.DELIVERED),
    "200 json": (typed("application/json; charset=utf-8", b'{"partialSuccess": {}}'), DELIVERED, Reason.DELIVERED),
    "200 with a warning": (Reply(body=partial(0, "slow down")), DELIVERED, Reason.DELIVERED),
    "200 rejected 3": (Reply(body=partial(3, "no")), REFUSED, Reason.REJECTED_IN_PART),
    "200 json rejected": (
        typed("application/json", b'{"partialSuccess": {"rejectedLogRecords": "2"}}'),
        REFUSED,
        Reason.REJECTED_IN_PART,
    ),
    "200 html": (typed("text/html", b"<html>sign in</html>"), MISCONFIGURED, Reason.NOT_OTLP),
    "200 text": (typed("text/plain", b"fine"), MISCONFIGURED, Reason.NOT_OTLP),
    "200 garbage": (Reply(body=b"\xff\xff\xff\xff"), MISCONFIGURED, Reason.NOT_OTLP),
    "200 json list": (typed("application/json", b"[1]"), MISCONFIGURED, Reason.NOT_OTLP),
    "200 deep json": (typed("application/json", b'{"a":' * 10_000), MISCONFIGURED, Reason.NOT_OTLP),
    "200 endless number": (
        typed("application/json", b'{"partialSuccess":{"rejectedLogRecords":1e999}}'),
        MISCONFIGURED,
        Reason.NOT_OTLP,
    ),
    "200 gzip though not asked": (
        Reply(headers={"content-encoding": "gzip"}, body=zlib.compress(partial(4), wbits=31)),
        REFUSED,
        Reason.REJECTED_IN_PART,
    ),
    "200 cut": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc"), RETRY, Reason.REPLY_CUT),
    "200 too large": (Reply(body=bytes(70_000)), MISCONFIGURED, Reason.REPLY_TOO_LARGE),
    "200 gzip bomb": (
        Reply(headers={"content-encoding": "gzip"}, body=BOMB, is_taken=False),
        MISCONFIGURED,
        Reason.REPLY_TOO_LARGE,
    ),
    "400 gzip bomb": (Reply(400, {"content-encoding": "gzip"}, BOMB), REFUSED, Reason.INVALID),
    "100 102 200": (
        raw(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\n",
            b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n",
        ),
        DELIVERED,
        Reason.DELIVERED,
    ),
    "101": (raw(b"HTTP/1.1 101 Switching\r\nConnection: close\r\n\r\n"), MISCONFIGURED, Reason.NOT_OTLP),
    **{
        str(status): (Reply(status, {"location": "/elsewhere"}), MISCONFIGURED, Reason.REDIRECTED)
        for status in (300, 301, 302, 303, 304, 307, 308)
    },
    **{str(status): (Reply(status), ruling.verdict, ruling.reason) for status, ruling in HTTP_RULINGS.items()},
    **{str(status): (Reply(status), REFUSED, Reason.INVALID) for status in (400, 409, 412, 418, 422, 451, 499)},
    **{str(status): (Reply(status), RETRY, Reason.SERVER_ERROR) for status in (500, 507, 520, 599)},
    "600": (
        raw(b"HTTP/1.1 600 What\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        MISCONFIGURED,
        Reason.NOT_OTLP,
    ),
    "closed": (raw(), RETRY, Reason.CONNECTION_LOST),
    "no http": (raw(b"\x00\xff\xfe no http at all\r\n\r\n"), RETRY, Reason.UNREADABLE),
    "bad length": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), DELIVERED, Reason.DELIVERED),
    "too many headers": (
        raw(b"HTTP/1.1 200 OK\r\n", *(b"X-%d: y\r\n" % n for n in range(500))),
        RETRY,
        Reason.UNREADABLE,
    ),
    "a header too long": (raw(b"HTTP/1.1 200 OK\r\nX: ", bytes(70_000)), RETRY, Reason.UNREADABLE),
}


def client_of(url: str, **environ: str) -> OtlpClient:
    return OtlpClient(target_at(url, OtlpSignal.LOGS, environ))


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[HttpReceiver, dict[str, Reply]]]:
    script: dict[str, Reply] = {}
    with http_receiver(lambda *_: script["next"]) as receiver:
        yield receiver, script


@pytest.mark.parametrize("row", ROWS)
def test_row(scripted: tuple[HttpReceiver, dict[str, Reply]], row: str) -> None:
    """The reply means what its row says, is followed nowhere, and the next request goes through."""
    receiver, script = scripted
    reply, verdict, reason = ROWS[row]
    client = client_of(receiver.url)
    before = len(receiver.taken.paths)
    script["next"] = reply
    answer = client.send(payload(1), 5)
    assert (answer.verdict, answer.reason) == (verdict, reason), answer
    script["next"] = Reply()
    assert client.send(payload(1), 5).verdict is DELIVERED
    assert receiver.taken.paths[before:] == ["/v1/logs", "/v1/logs"]
    client.close()


def test_every_status_has_a_ruling() -> None:
    """There is a row for each status that Python knows, in the table or by its class."""
    assert {status for status in HTTP_RULINGS if status not in responses} <= {425, 511}
    assert len(ROWS) >= 40


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1.0),
        ("0", 0.0),
        ("30", 30.0),
        (" 7 ", 7.0),
        ("86400", ASKED_WAIT_MAX_S),
        ("9" * 400, ASKED_WAIT_MAX_S),
        ("Wed, 21 Oct 2037 07:28:00 GMT", ASKED_WAIT_MAX_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Mon, 01 Jan 999999999 00:00:00 GMT", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(value: str, expected: float | None, status: int) -> None:
    """Both forms of Retry-After are honoured, within bounds; what cannot be read is not."""
    with http_receiver(lambda *_: Reply(status, {"retry-after": value})) as receiver:
        answer = client_of(receiver.url).send(payload(1), 5)
    assert (answer.verdict, answer.retry_after_s) == (RETRY, expected)


def test_retry_after_in_a_minute() -> None:
    """A date is counted from now."""
    reply = Reply(503, {"retry-after": formatdate(time.time() + 60, usegmt=True)})
    with http_receiver(lambda *_: reply) as receiver:
        wait_s = client_of(receiver.url).send(payload(1), 5).retry_after_s
    assert wait_s is not None
    assert 55 < wait_s <= 61


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(400, body=Status(message="no such tenant").SerializeToString()), "no such tenant"),
        (typed("text/plain", b"bad\x1b[2J \xe2\x80\xae\r\nline", 400), "bad\\x1b[2J \\u202e line"),
        (typed("text/plain", b"x" * 60_000, 400), "x" * 997 + "..."),
        (Reply(302, {"location": "/login\x1b[1m"}), "/login\\x1b[1m"),
        (Reply(body=partial(2, "log\nrecords")), "log records"),
        (typed("text/plain", b"you sent Bearer sk-live-CANARY", 403), "you sent ***"),
    ],
)
def test_the_receivers_words(reply: Reply, words: str) -> None:
    """They are told on one line, bounded and escaped, and never with a secret that we had sent."""
    with http_receiver(lambda *_: reply) as receiver:
        client = client_of(receiver.url, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20sk-live-CANARY")
        assert client.send(payload(1), 5).message == words
        assert "CANARY" not in repr(client.target)


def write_for_ever(pieces: bytes, pause_s: float = 0.0) -> Any:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 419430400\r\n\r\n" if not pause_s else b"")
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            handler.wfile.write(pieces)
            handler.wfile.flush()
            threading.Event().wait(pause_s)

    return Reply(write=write, is_taken=False)


def endless_chunks(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
    for _ in range(300):
        handler.wfile.write(chunk)


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["status line", "headers", "body", "interim"],
)
def test_a_drip_keeps_no_longer_than_the_deadline(first: bytes) -> None:
    """A receiver that sends a byte now and then is given up on time, wherever it does."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        for number in range(200):
            handler.wfile.write(first if b"100" in first else b"X-%d: y\r\n" % number if b"OK\r\n" in first else b"H")
            handler.wfile.flush()
            threading.Event().wait(0.05)

    with http_receiver(lambda *_: Reply(write=write, is_taken=False)) as receiver:
        started_s = time.monotonic()
        answer = client_of(receiver.url).send(payload(1), 0.5)
        assert (answer.verdict, answer.reason) == (RETRY, Reason.TIMEOUT)
        assert time.monotonic() - started_s < 5


def test_silence_and_a_full_backlog_time_out() -> None:
    """Nobody answers: the deadline holds."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        client = client_of(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started_s = time.monotonic()
        assert client.send(payload(1), 0.3).reason is Reason.TIMEOUT
        assert time.monotonic() - started_s < 5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
@pytest.mark.parametrize(
    "reply",
    [
        write_for_ever(bytes(MIB)),
        Reply(headers={"content-encoding": "gzip"}, body=BOMB),
        Reply(400, headers={"content-encoding": "gzip"}, body=BOMB),
        Reply(write=endless_chunks),
        write_for_ever(b"X-a: " + b"y" * 60_000 + b"\r\n"),
    ],
    ids=["400 MiB", "bomb", "bomb of 400", "endless chunks", "endless headers"],
)
def test_a_reply_costs_at_most_16_mib(reply: Reply) -> None:
    """However much a receiver sends, or lets be inflated, memory stays."""
    with http_receiver(lambda *_: reply) as receiver:
        client = client_of(receiver.url)
        client.send(b"", 0.01)
        # The peak of before is forgotten, so that what stood on another day cannot hide this one.
        Path("/proc/self/clear_refs").write_text("5")
        before_kib = peak_kib()
        for _ in range(3):
            client.send(payload(1), 5)
        client.close()
    assert (peak_kib() - before_kib) / 1024 <= 16


def peak_kib() -> int:
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

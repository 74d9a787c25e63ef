# SPDX-License-Identifier: Apache-2.0
"""The listener against peers that are slow, silent, many, or send headers without end."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from agent_outcomes.gateway.serving.progress import RATE_GRACE_S
from agent_outcomes.gateway.settings import ReceiverLimits
from tests.integration.gateway.listening import TIMEOUT_S, answered, listening, received

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

pytestmark = pytest.mark.backends

GET: Final = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST: Final = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
EXPECTING: Final = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
QUICK: Final = ReceiverLimits(header_timeout_s=0.6, body_timeout_s=1.0, idle_timeout_s=1.0)


async def length_of_body(_: Scope, receive: Receive, send: Send) -> None:
    """Answers with how much it was sent."""
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /x HT", b"GET /x HTTP/1.1\r\nHost: local", POST % 10, (POST % 10) + b"12345", GET, b"\r\n"],
    ids=["silent", "half-a-line", "half-a-header", "no-body", "half-a-body", "idle-after-an-answer", "blank-lines"],
)
def test_who_does_not_go_on_is_closed(begun: bytes) -> None:
    """Within its limit and the second in which that is noticed, and without an answer that was not due."""
    with listening(length_of_body, QUICK) as server, server.connect() as connection:
        connection.sendall(begun)
        started = time.monotonic()
        content = received(connection)
        assert time.monotonic() - started < TIMEOUT_S / 4
    assert content.startswith(b"HTTP/1.1 200") == (begun == GET)


def test_a_body_that_trickles_is_closed() -> None:
    """One that sends a byte now and then never comes to its end, but keeps no connection for it."""
    limits = ReceiverLimits(body_timeout_s=60, body_min_bytes_per_s=1024)
    with listening(length_of_body, limits) as server, server.connect() as connection:
        connection.sendall(POST % 1000)
        started = time.monotonic()
        connection.settimeout(0.2)
        closed = False
        while not closed and time.monotonic() - started < RATE_GRACE_S + 5:
            try:
                connection.sendall(b"x")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
        took_s = time.monotonic() - started
    assert closed
    assert took_s >= RATE_GRACE_S


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /x HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(101)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nX: " + b"a" * 400_000,
    ],
    ids=["long-header", "many-headers", "long-target", "a-header-without-end"],
)
def test_headers_without_end_are_refused(head: bytes) -> None:
    """431, and the connection is closed, however they come."""
    with listening(length_of_body, ReceiverLimits()) as server, server.connect() as connection:
        sender = threading.Thread(target=_send_quietly, args=(connection, head), daemon=True)
        sender.start()
        assert received(connection).startswith(b"HTTP/1.1 431 ")
        sender.join(TIMEOUT_S)


HOSTS: Final = [
    ("HTTP/1.1", ["localhost"], 200),
    ("HTTP/1.1", [""], 200),
    ("HTTP/1.1", ["[::1]:4318"], 200),
    ("HTTP/1.1", ["a-b_c.example:"], 200),
    ("HTTP/1.1", [], 400),
    ("HTTP/1.1", ["localhost", "localhost"], 400),
    ("HTTP/1.1", ["two words"], 400),
    ("HTTP/1.1", ["localhost/path"], 400),
    ("HTTP/1.1", ["user@localhost"], 400),
    ("HTTP/1.1", ["localhost:x"], 400),
    ("HTTP/1.1", ["[::1"], 400),
    ("HTTP/1.0", [], 200),
    ("HTTP/1.0", ["localhost"], 200),
    ("HTTP/1.0", ["a", "b"], 400),
]


def test_a_request_says_once_whom_it_is_for() -> None:
    """RFC 9112, 3.2: 400 without a Host, as HTTP/1.0 alone allows it, with two, or with one that names nobody."""
    with listening(length_of_body, ReceiverLimits()) as server:
        for version, hosts, status in HOSTS:
            for names in itertools.permutations([*(f"hOsT: {host}" for host in hosts), "X-A: b"]):
                with server.connect() as connection:
                    lines = [f"GET /x {version}", *names, "Connection: close", "", ""]
                    connection.sendall("\r\n".join(lines).encode())
                    assert received(connection).startswith(b"HTTP/1.1 %d " % status), (version, names)


def _send_quietly(connection: object, head: bytes) -> None:
    try:
        for begin in range(0, len(head), 5_000):
            connection.sendall(head[begin : begin + 5_000])  # type: ignore[attr-defined]
    except OSError:
        return


def test_requests_on_one_connection_are_each_bounded_by_themselves() -> None:
    """A hundred requests, some sent together, with bodies larger than a header may be."""
    with listening(length_of_body, ReceiverLimits()) as server, server.connect() as connection:
        for size in range(0, 100_000, 10_007):
            connection.sendall((POST % size) + b"x" * size)
            assert answered(connection).endswith(b"\r\n\r\n%d" % size)
        connection.sendall(GET * 5)
        content = b""
        while content.count(b"HTTP/1.1 200") < 5:
            content += connection.recv(65_536)


def test_a_new_peer_takes_the_place_of_one_that_does_nothing() -> None:
    """With all connections taken by silent ones, who has a request is served."""
    limits = ReceiverLimits(connections_max=8)
    with listening(length_of_body, limits) as server, ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(8)]
        for _ in range(4):
            with server.connect() as connection:
                connection.sendall(GET)
                assert answered(connection).startswith(b"HTTP/1.1 200")
        assert len(silent) == 8


def test_where_all_are_at_work_one_more_is_told_to_come_again() -> None:
    """503 with Retry-After; those at work are left alone."""
    limits = ReceiverLimits(connections_max=2)
    with listening(length_of_body, limits) as server, server.connect() as one, server.connect() as two:
        for connection in (one, two):
            connection.sendall(EXPECTING)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
        with server.connect() as three:
            content = received(three)
        assert content.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in content
        for connection in (one, two):
            connection.sendall(b"abc")
            assert answered(connection).endswith(b"\r\n\r\n3")


def test_healthy_requests_are_quick_beside_500_slow_sockets() -> None:
    """p99 within a second, while 500 send half a header and nothing more."""
    took_s = []
    with listening(length_of_body, ReceiverLimits()) as server, ExitStack() as stack:
        for _ in range(500):
            slow = stack.enter_context(server.connect())
            slow.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: loc")
        for _ in range(200):
            started = time.monotonic()
            with server.connect() as connection:
                connection.sendall(GET)
                assert answered(connection).startswith(b"HTTP/1.1 200")
            took_s.append(time.monotonic() - started)
    p99_s = sorted(took_s)[int(len(took_s) * 0.99)]
    print(f"p99 of healthy requests beside 500 slow sockets: {p99_s * 1000:.1f} ms")
    assert p99_s <= 1.0


def test_at_the_end_requests_under_way_are_answered() -> None:
    """Idle connections close at once, one at work after its answer, and nobody new gets in."""
    with listening(length_of_body, ReceiverLimits()) as server, server.connect() as idle, server.connect() as at_work:
        at_work.sendall(EXPECTING)
        assert at_work.recv(100).startswith(b"HTTP/1.1 100")
        stopping = threading.Thread(target=server.stop, args=(10.0,))
        stopping.start()
        assert received(idle) == b""
        at_work.sendall(b"abc")
        content = received(at_work)
        assert content.endswith(b"\r\n\r\n3")
        assert b"connection: close" in content
        stopping.join(TIMEOUT_S)
        with pytest.raises(OSError, match="refused"):
            server.connect()

# SPDX-License-Identifier: Apache-2.0
"""One client over its life: one connection, closing, forking, TLS, proxies, and nothing traced."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value

from agent_outcomes.otel_variables import GRPC, HTTP, OtlpSignal
from agent_outcomes.otlp.answers import Reason, Verdict
from agent_outcomes.otlp.client import OtlpClient
from agent_outcomes.otlp.endpoints import target_at, usable_target
from agent_outcomes.settings import SettingsError
from tests.integration.otlp.payloads import payload
from tests.integration.scripted_receiver import HttpReceiver, Reply, grpc_receiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OTLP = "OTEL_EXPORTER_OTLP_"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client_of(url: str, protocol: str = HTTP, **environ: str) -> OtlpClient:
    named = {f"{OTLP}{name}": value for name, value in environ.items()}
    return OtlpClient(target_at(url, OtlpSignal.LOGS, named, protocol))


def test_one_connection_is_kept() -> None:
    """Requests follow each other on one connection, also after a refusal with a body."""
    with http_receiver(lambda _, number, __: Reply(400, body=b"x" * 500) if number % 2 else None) as receiver:
        client = client_of(receiver.url)
        verdicts = [client.send(payload(1), 5).verdict for _ in range(6)]
        assert verdicts == [Verdict.REFUSED, Verdict.DELIVERED] * 3
        assert len(receiver.taken.connections) == 1
        client.close()


def test_a_connection_that_the_receiver_closed_is_made_anew() -> None:
    """A receiver that was started again is found at once."""
    with http_receiver() as receiver:
        client, port = client_of(receiver.url), receiver.port
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
    answers = [client.send(payload(1), 1) for _ in range(2)]
    assert answers[-1].reason is Reason.CONNECTION_REFUSED
    with http_receiver(port=port) as again:
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
        assert len(again.taken.records()) == 1
    client.close()


def test_a_grpc_receiver_that_comes_back_is_found() -> None:
    """The channel does not keep away from it for long."""
    with grpc_receiver() as receiver:
        client, port = client_of(receiver.url, GRPC), receiver.port
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
    answers = [client.send(payload(1), 0.2) for _ in range(4)]
    assert {answer.verdict for answer in answers} == {Verdict.RETRY}
    with grpc_receiver(port=port):
        until_s = time.monotonic() + 8
        while client.send(payload(1), 1).verdict is not Verdict.DELIVERED:
            assert time.monotonic() < until_s
    client.close()


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_close_interrupts(protocol: str) -> None:
    """What waits for an answer ends at once, and nothing is sent afterwards."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        client = client_of(f"http://127.0.0.1:{silent.getsockname()[1]}", protocol)
        closing = threading.Timer(0.2, client.close)
        closing.start()
        started_s = time.monotonic()
        assert client.send(payload(1), 20).reason is Reason.CLOSED
        assert time.monotonic() - started_s < 10
        closing.join()
        assert client.send(payload(1), 20).reason is Reason.CLOSED
        client.close()


def test_a_forked_child_has_a_connection_of_its_own() -> None:
    """The parent's goes on; a lock that the parent held keeps nobody."""
    with http_receiver() as receiver:
        client = client_of(receiver.url)
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
        with client._lock:
            child = os.fork()
            if child == 0:
                verdict = client.send(payload(1), 5).verdict
                os._exit(0 if verdict is Verdict.DELIVERED else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
        assert len(receiver.taken.connections) == 2
        assert len(receiver.taken.records()) == 3
        client.close()


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
@pytest.mark.parametrize("compression", ["", "gzip", "deflate"])
def test_headers_and_compression(protocol: str, compression: str) -> None:
    """The variables' headers and compression are used."""
    if (protocol, compression) == (GRPC, "deflate"):
        pytest.skip("gRPC has none")
    receiving: Callable[[], Any] = http_receiver if protocol == HTTP else grpc_receiver
    with receiving() as receiver:
        client = client_of(receiver.url, protocol, HEADERS="X-Api-Key=k%3D1,b=2", COMPRESSION=compression)
        assert client.send(payload(40), 5).verdict is Verdict.DELIVERED
        headers = receiver.taken.headers[0]
        assert (headers["x-api-key"], headers["b"]) == ("k=1", "2")
        assert len(receiver.taken.records()) == 40
        if protocol == HTTP:
            assert headers["accept-encoding"] == "identity"
            assert headers.get("content-encoding", "") == compression
        client.close()


def test_user_information_of_the_url_is_sent_as_a_header() -> None:
    """And is shown nowhere."""
    with http_receiver() as receiver:
        client = client_of(receiver.url.replace("//", "//user:p%40ss@"))
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
        assert receiver.taken.headers[0]["authorization"] == "Basic dXNlcjpwQHNz"
        assert "p%40ss" not in repr(client.target)
        client.close()


def test_nothing_of_it_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentations are told to make no spans, and only while it sends."""
    seen: list[object] = []
    original = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        seen.append(get_value(_SUPPRESS_INSTRUMENTATION_KEY))
        original(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    with http_receiver() as receiver:
        assert client_of(receiver.url).send(payload(1), 5).verdict is Verdict.DELIVERED
    assert seen[:1] == [True]
    assert get_value(_SUPPRESS_INSTRUMENTATION_KEY) is None


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_receiver(authority: trustme.CA) -> Iterator[HttpReceiver]:
    """A receiver that asks for a client's certificate."""
    with http_receiver() as receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
        receiver.url = receiver.url.replace("http:", "https:")
        yield receiver


@pytest.mark.parametrize("name", ["elsewhere.example", "127.0.0.9"])
def test_a_certificate_for_another_name_is_not_trusted(authority: trustme.CA, tmp_path: Path, name: str) -> None:
    """Of an authority that is trusted, but not for this receiver."""
    ca = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca)
    with http_receiver() as receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
        answer = client_of(receiver.url.replace("http:", "https:"), CERTIFICATE=ca).send(payload(1), 5)
        assert (answer.verdict, answer.reason) == (Verdict.MISCONFIGURED, Reason.UNTRUSTED)
        assert receiver.taken.records() == []


def test_mutual_tls(authority: trustme.CA, tls_receiver: HttpReceiver, tmp_path: Path) -> None:
    """With certificate, key and authority it delivers; without either it says what is wrong, and keeps the data."""
    ca, certificate, key = (str(tmp_path / name) for name in ("ca.pem", "client.pem", "client.key"))
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("client@example.com")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    client = client_of(tls_receiver.url, CERTIFICATE=ca, CLIENT_CERTIFICATE=certificate, CLIENT_KEY=key)
    assert [client.send(payload(1), 5).verdict for _ in range(2)] == [Verdict.DELIVERED] * 2
    assert len(tls_receiver.taken.connections) == 1
    client.close()
    untrusted = client_of(tls_receiver.url).send(payload(1), 5)
    assert (untrusted.verdict, untrusted.reason) == (Verdict.MISCONFIGURED, Reason.UNTRUSTED)
    nameless = client_of(tls_receiver.url, CERTIFICATE=ca).send(payload(1), 5)
    assert nameless.verdict is not Verdict.DELIVERED


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_tls_against_plain_text(protocol: str) -> None:
    """It is no success, and it ends in time."""
    with http_receiver() as receiver:
        answer = client_of(receiver.url.replace("http:", "https:"), protocol).send(payload(1), 2)
        assert answer.verdict in {Verdict.MISCONFIGURED, Verdict.RETRY}
        assert receiver.taken.records() == []


def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """The variable is named when the target is read; a file that holds none is told of by the first request."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere"):
        client_of("https://localhost:1", CERTIFICATE="/nowhere")
    empty = tmp_path / "empty.pem"
    empty.write_text("none")
    answer = client_of("https://localhost:1", CERTIFICATE=str(empty)).send(payload(1), 1)
    assert (answer.verdict, answer.reason) == (Verdict.MISCONFIGURED, Reason.CANNOT_SEND)


class _Proxy(BaseHTTPRequestHandler):
    """Forwards what it is given whole, and tunnels what asks for that."""

    seen: list[tuple[str, str, str | None]]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_POST(self) -> None:
        self.seen.append((self.command, self.path, self.headers.get("proxy-authorization")))
        body = self.rfile.read(int(self.headers["content-length"]))
        parts = urlsplit(self.path)
        answer = client_of(f"{parts.scheme}://{parts.netloc}").send(body, 5)
        self.send_response(200 if answer.verdict is Verdict.DELIVERED else 502)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    seen: list[tuple[str, str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


def test_proxy(proxy: tuple[str, list[tuple[str, str, str | None]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is used, with its credentials, unless the host is to be reached without."""
    address, seen = proxy
    with http_receiver() as receiver:
        client = client_of(receiver.url)
        monkeypatch.setenv("http_proxy", f"http://me:secret@{address}")
        monkeypatch.setenv("no_proxy", "")
        client.send(payload(0), 0.0)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert client_of(receiver.url).send(payload(1), 5).verdict is Verdict.DELIVERED
        assert seen == []
        assert client.send(payload(1), 5).verdict is Verdict.DELIVERED
        assert seen == [("POST", f"{receiver.url}/v1/logs", "Basic bWU6c2VjcmV0")]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"ENDPOINT": "localhost:4318", "PROTOCOL": HTTP}, "ENDPOINT=http://localhost:4318"),
        ({"ENDPOINT": "ftp://a", "PROTOCOL": HTTP}, "begins with http"),
        ({"ENDPOINT": "http://[1", "PROTOCOL": HTTP}, "is no URL"),
        ({"LOGS_TIMEOUT": "soon"}, f"{OTLP}LOGS_TIMEOUT=soon cannot be used: it takes a number of seconds"),
        ({"TIMEOUT": "-1"}, "more than 0; write OTEL_EXPORTER_OTLP_TIMEOUT=10"),
        ({"COMPRESSION": "zstd"}, "COMPRESSION=zstd cannot be used"),
        ({"LOGS_PROTOCOL": "http/json"}, f"write {OTLP}LOGS_PROTOCOL=http/protobuf"),
        ({"CLIENT_KEY": "/nowhere"}, "there is no such file"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(environ: dict[str, str], words: str) -> None:
    """With what to write instead."""
    with pytest.raises(SettingsError) as caught:
        usable_target(OtlpSignal.LOGS, {f"{OTLP}{name}": value for name, value in environ.items()})
    assert words in str(caught.value)


def test_a_signals_own_variables_stand_first() -> None:
    """Endpoint, timeout, headers and compression of one signal; `none` is a compression."""
    environ = {
        f"{OTLP}ENDPOINT": "http://common:1",
        f"{OTLP}LOGS_ENDPOINT": "http://logs:2/in",
        f"{OTLP}TIMEOUT": "3",
        f"{OTLP}LOGS_TIMEOUT": "0.5",
        f"{OTLP}COMPRESSION": "none",
        f"{OTLP}PROTOCOL": HTTP,
    }
    logs, metrics = (usable_target(signal, environ) for signal in (OtlpSignal.LOGS, OtlpSignal.METRICS))
    assert (logs.url, logs.timeout_s, metrics.url, metrics.timeout_s) == (
        "http://logs:2/in", 0.5, "http://common:1/v1/metrics", 3.0,
    )  # fmt: skip
    given = target_at("http://ledger:9", OtlpSignal.LOGS, environ)
    assert (given.url, given.timeout_s) == ("http://ledger:9/v1/logs", 0.5)

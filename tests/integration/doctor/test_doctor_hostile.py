# SPDX-License-Identifier: Apache-2.0
"""Receivers that mean harm: what they answer to the doctor reaches neither a shell, nor a terminal, nor the memory."""

from __future__ import annotations

import gzip
import subprocess
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.doctor.environment import read_targets
from agent_outcomes.doctor.findings import EXIT_CODES, Layer
from agent_outcomes.doctor.probe import request_of
from agent_outcomes.doctor.sending import send
from tests.integration.doctor.doctor_command import examine
from tests.integration.doctor.doctor_servers import Reply, http_receiver

if TYPE_CHECKING:
    from pathlib import Path

HTTP = "http/protobuf"
OTLP = "OTEL_EXPORTER_OTLP"
HOSTILE_LOCATIONS = [
    "http://x/$(touch hit)/v1/logs",
    "http://x/`touch hit`",
    "http://x/'; touch hit; '",
    'http://x/"; touch hit; "',
    "http://x/ok\x1b[2K\x1b[1Gexport PATH=/evil",
    "http://user:word-of-others@x/",
    "http://x/\u202eevil",
    "x" * 60_000,
]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
@pytest.mark.parametrize("location", HOSTILE_LOCATIONS, ids=range(len(HOSTILE_LOCATIONS)))
def test_a_hostile_redirect_reaches_neither_shell_nor_terminal(
    location: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """No control character, no password, no flood, and no line whose pasting does anything but set a variable."""
    on_the_wire = location.encode().decode("latin-1")
    with http_receiver(lambda _: Reply(307, {"Location": on_the_wire})) as server:
        environ = {f"{OTLP}_PROTOCOL": HTTP, f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}"}
        seen = examine(environ, *arguments)
    assert seen.exit_code == EXIT_CODES[Layer.REDIRECT]
    assert all(line.isprintable() for line in (seen.stdout + seen.stderr).split("\n"))
    assert "word-of-others" not in seen.stdout
    assert len(seen.stdout) < 10_000
    pasted = [line for line in seen.stdout.splitlines() if line.strip().startswith(("export", "unset"))]
    subprocess.run(["/bin/sh", "-c", "\n".join(pasted)], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


PARTIAL = b'{"partialSuccess": {"rejectedLogRecords": 1, "errorMessage": "the reason"}}'


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", gzip.compress(PARTIAL, mtime=0)),
        ("X-GZIP", gzip.compress(PARTIAL, mtime=0)),
        ("deflate", zlib.compress(PARTIAL)),
        ("deflate", zlib.compress(PARTIAL, wbits=-15)),
        ("identity", PARTIAL),
    ],
    ids=["gzip", "gzip by its old name", "deflate", "deflate without a header", "identity"],
)
def test_a_compressed_answer_is_read_though_none_was_asked_for(encoding: str, compressed: bytes) -> None:
    """The doctor asks for plain answers; proxies compress nevertheless, in either form that deflate has."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    with http_receiver(lambda _: Reply(200, headers, compressed)) as server:
        seen = examine({f"{OTLP}_PROTOCOL": HTTP, f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}"}, "--json")
        asked = [sent["accept-encoding"] for _, sent, _ in server.received.requests]
    assert asked == ["identity"] * 3
    assert seen.document["broken"] == Layer.REJECTED
    assert "the reason" in seen.broken["seen"]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
def test_an_answer_that_swells_is_no_harm(encoding: str, status: int) -> None:
    """100 MiB in 100 kB: what is read of it is bounded after its compression, too, with any urllib3."""
    body = gzip.compress(bytes(100 * 2**20))
    headers = {"Content-Type": "text/plain", "Content-Encoding": encoding}
    with http_receiver(lambda _: Reply(status, headers, body)) as server:
        environ = {f"{OTLP}_PROTOCOL": HTTP, f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}"}
        target = read_targets(environ).targets[0]
        tracemalloc.start()
        try:
            answer = send(target, request_of(target.signal), 10.0)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.http_status == status
    assert not answer.is_accepted
    assert peak_bytes < 4 * 2**20

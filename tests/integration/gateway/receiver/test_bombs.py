# SPDX-License-Identifier: Apache-2.0
"""Small bodies that would become large ones cost no memory, however many come at once."""

from __future__ import annotations

import gzip
import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
import zstandard

from agent_outcomes.gateway.receiver.grpc_server import SERVICES
from agent_outcomes.otel_variables import OtlpSignal
from tests.gateway_receiver_process import receiver_process
from tests.otlp_requests import field

if TYPE_CHECKING:
    from tests.gateway_receiver_process import ReceiverProcess

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(sys.platform != "linux", reason="a process says its peak of memory in /proc"),
]

MIB = 2**20
BOMBS = 100
PEAK_MAX_MIB = 256


Bomb = tuple[dict[str, str], bytes]
"""Headers and a body."""


def bombs() -> tuple[list[Bomb], list[Bomb]]:
    """Of Protobuf, of zeros and tiny fields; and of JSON that becomes many objects."""
    protobuf = {"content-type": "application/x-protobuf"}
    in_json = {"content-type": "application/json"}
    of_gzip, of_zstd = {"content-encoding": "gzip"}, {"content-encoding": "zstd"}
    # Too much of it is random for what it becomes to be out of all proportion.
    noise = Random(1)
    unknown, noted = field(127, noise.randbytes(200_000)), noise.randbytes(40_000).hex().encode()
    parts = b"\x12\x00" * (15 * MIB // 2)
    objects = b'{"note": "' + noted + b'", "resourceSpans": [' + b"{}," * (4 * MIB // 3 - 30_000) + b"{}]}"
    lists = b'{"note": "' + noted + b'", "a": [' + b"[]," * (4 * MIB // 3 - 30_000) + b"[]]}"
    in_protobuf = [
        (protobuf | of_gzip, gzip.compress(bytes(1_000 * MIB), 9)),
        (protobuf | of_zstd, zstandard.ZstdCompressor(level=3).compress(bytes(1_000 * MIB))),
        (protobuf | of_gzip, gzip.compress(unknown + b"\x0a\x00" * (15 * MIB // 2))),
        (protobuf | of_gzip, gzip.compress(unknown + field(1, parts))),
        (protobuf | of_gzip, gzip.compress(unknown + field(1, field(2, parts)))),
        (protobuf | of_gzip, gzip.compress(unknown + b"\xff")),
    ]
    return in_protobuf, [
        (in_json | of_gzip, gzip.compress(objects)),
        (in_json | of_gzip, gzip.compress(lists)),
        (in_json | of_gzip, gzip.compress(b"[" * MIB)),
    ]


def test_a_hundred_bombs_at_once_leave_memory_alone() -> None:
    """Each is refused, and healthy requests between them are answered."""
    with receiver_process() as receiver:
        of_protobuf, of_json = bombs()
        # Those of JSON are read one after the other, and take their time.
        sent = [*(of_protobuf * BOMBS)[: BOMBS - len(of_json)], *of_json]
        Random(2).shuffle(sent)
        with ThreadPoolExecutor(BOMBS) as threads:
            statuses = list(threads.map(lambda one: _post(receiver, *one), sent))
        assert set(statuses) <= {200, 400, 413, 503}
        assert {400, 413} <= set(statuses)
        assert _post(receiver, {"content-type": "application/x-protobuf"}, b"") == 200
        assert receiver.peak_mib() < PEAK_MAX_MIB


def test_bombs_by_grpc_leave_memory_alone() -> None:
    """Each is refused."""
    with receiver_process() as receiver, grpc.insecure_channel(receiver.target) as channel:
        export = channel.unary_unary(f"/{SERVICES[OtlpSignal.TRACES]}/Export")
        packed = gzip.compress(bytes(1_000 * MIB), 9)
        codes = [export.future(packed, timeout=60).code() for _ in range(BOMBS)]
        assert set(codes) <= {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
        assert export(b"", timeout=60) == b""
        assert receiver.peak_mib() < PEAK_MAX_MIB


def _post(receiver: ReceiverProcess, headers: dict[str, str], body: bytes) -> int:
    return httpx.post(f"{receiver.url}/v1/traces", content=body, headers=headers, timeout=120).status_code

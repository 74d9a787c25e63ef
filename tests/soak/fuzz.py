# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.fuzz`: requests of all kinds of damage sent to both listeners of a gateway.

Each is a sound request in some encoding whose bytes, headers or compression were changed, or mere chance. Whatever it
is, it is answered, by no status beyond those of the OTLP specification's table, and never by one that says that the
gateway itself failed; afterwards a sound request is taken, and memory is what it was.

exit codes: 0 every request was answered so, 1 one was not (told on standard output).
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc  # type: ignore[import-untyped]
import zstandard

from agent_outcomes.gateway.receiver.grpc_server import SERVICES
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.json_codec import to_otlp_json
from tests.gateway_receiver_process import ReceiverProcess, receiver_process
from tests.otlp_requests import a_log_request, a_trace_request, changed_bytes, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUESTS: Final = 1_000_000
SENDERS: Final = 4
TAKEN_BY_GRPC: Final = 0.1
PEAK_MAX_MIB: Final = 256
ANSWERS: Final = frozenset({200, 400, 404, 405, 413, 415, 431, 503})
CODES: Final = frozenset({"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "UNAVAILABLE"})
FAILED: Final = "the gateway failed"
PACKS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda body: gzip.compress(body, 1),
    "zstd": lambda body: zstandard.compress(body, 1),
    "deflate": zlib.compress,
    "": bytes,
}
KINDS: Final = ("application/x-protobuf", "application/json", "text/plain", "")


class Damaged(NamedTuple):
    """A request that may be anything."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def damaged(random: Random) -> Damaged:
    """A request, more often nearly sound than not."""
    signal = random.choice(list(OtlpSignal))
    message = random.choice((a_trace_request, a_log_request))(random)
    is_json = random.random() < 0.4
    body = to_otlp_json(message).encode() if is_json else message.SerializeToString()
    if random.random() < 0.1:
        body = random.randbytes(random.randint(0, 300))
    if not is_json and random.random() < 0.2:
        body = shuffled(message.SerializeToString(), random, depth=4)
    if random.random() < 0.6:
        body = changed_bytes(body, random)
    encoding = random.choice(("gzip", "zstd", "", "", "deflate"))
    body = PACKS[encoding](body)
    if random.random() < 0.2:
        body = changed_bytes(body, random)
    kind = random.choice(KINDS) if random.random() < 0.1 else KINDS[is_json]
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    path = signal.path if random.random() < 0.95 else random.choice(("/", "/v1/nothing", "/v1/traces/x"))
    return Damaged(path, {name: value for name, value in headers.items() if value}, body)


def sent_by_http(receiver: ReceiverProcess, seed: int, count: int) -> list[str]:
    """What was answered otherwise than it may be."""
    random, wrong = Random(seed), list[str]()
    connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"), timeout=60)
    for _ in range(count):
        request = damaged(random)
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        content = response.read()
        if response.status not in ANSWERS or FAILED.encode() in content:
            wrong.append(f"{response.status} of {request}")
    connection.close()
    return wrong


def sent_by_grpc(receiver: ReceiverProcess, seed: int, count: int) -> list[str]:
    """What was answered otherwise than it may be."""
    random, wrong = Random(seed), list[str]()
    with grpc.insecure_channel(receiver.target) as channel:
        for _ in range(count):
            request = damaged(random)
            service = SERVICES[random.choice(list(OtlpSignal))]
            call = channel.unary_unary(f"/{service}/Export").future(request.body, timeout=60)
            if call.code().name not in CODES or FAILED in (call.details() or ""):
                wrong.append(f"{call.code().name} of {request}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Send them, and say what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    with receiver_process(is_reading=True) as receiver, ThreadPoolExecutor(SENDERS) as threads:
        count = options.requests // SENDERS
        by_grpc = int(count * TAKEN_BY_GRPC)
        futures = [
            threads.submit(send, receiver, options.seed + sender, share)
            for sender in range(SENDERS)
            for send, share in ((sent_by_http, count - by_grpc), (sent_by_grpc, by_grpc))
        ]
        wrong = [line for future in futures for line in future.result()]
        wrong += sent_by_http(receiver, options.seed, 10)
        if (peak_mib := receiver.peak_mib()) > PEAK_MAX_MIB:
            wrong.append(f"the receiver took {peak_mib:.0f} MiB")
        print(f"{options.requests} requests, {len(wrong)} answered wrongly, at most {peak_mib:.0f} MiB")
    for line in wrong[:20]:
        print(line[:1_000])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.serving`: the processor time of a whole gateway for a span, beside what else could take it.

All get the same requests over HTTP in turn: a server of the same kind that inflates by the standard library and throws
away; `agent-outcomes serve`, from the socket to the runs in its ledger; and a collector with metrics-only.yaml. One
span in twenty is an agent's with an outcome, the others are below it, and three of four of those are model calls; then
the same with spans that belong to no agent.
"""

from __future__ import annotations

import gzip
import http.client
import sqlite3
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.bench.receiving import discarding_server
from tests.integration.gateway.served import Served
from tests.integration.otelcol import CONFIG_FOLDER, Collector
from tests.process_times import cpu_s
from tests.tools.build_otelcol import find_or_build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROUNDS: Final = 5
SIZES: Final = {1_000: 30, 20: 300}
"""Spans of a request, and how many requests are a round."""
SPANS_OF_TRACE: Final = 20
SETTLED_IN_S: Final = 120.0
_ATTRIBUTES: Final = 15
_QUIET_S: Final = 1.0
_QUIET_PART: Final = 0.05
_traces: Final = count(1)


class Contender(NamedTuple):
    """What takes the requests; `wait` returns when so many more runs have been worked off."""

    name: str
    url: str
    pid: int
    wait: Callable[[int], None]


def main() -> None:
    """Print microseconds for a span and ratios, medians of rounds in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        contenders = _started(Path(folder), stack)
        for with_agents in (True, False):
            for spans, requests in SIZES.items():
                rounds = [_round(contenders, spans, requests, with_agents=with_agents) for _ in range(ROUNDS + 1)]
                # The first one finds nothing warm.
                _show([each.name for each in contenders], rounds[1:], spans, with_agents=with_agents)


def _started(folder: Path, stack: ExitStack) -> list[Contender]:
    places = [folder / name for name in ("gateway", "collector")]
    for place in places:
        place.mkdir()
    port, pid = stack.enter_context(discarding_server())
    gateway = stack.enter_context(Served(places[0], f"--ledger=sqlite:///{places[0] / 'ledger.db'}"))
    environ = {"SCRAPE_ENDPOINT": "127.0.0.1:0"}
    config = CONFIG_FOLDER / "metrics-only.yaml"
    collector = stack.enter_context(Collector(find_or_build(), places[1], [config], environ))
    return [
        Contender("gunzip and discard", f"http://127.0.0.1:{port}", pid, lambda _: None),
        Contender("gateway", gateway.otlp_http, gateway.pid, _Settled(places[0] / "ledger.db")),
        Contender("metrics-only.yaml", collector.http_endpoint, collector.pid, lambda _: _wait_quiet(collector.pid)),
    ]


class _Settled:
    """Waits for runs in a ledger without asking whoever writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._expected = 0

    def __call__(self, runs: int) -> None:
        self._expected += runs
        deadline = time.monotonic() + SETTLED_IN_S
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
            while connection.execute("SELECT count(*) FROM runs").fetchone()[0] < self._expected:
                if time.monotonic() > deadline:
                    message = f"the gateway did not settle {self._expected} runs within {SETTLED_IN_S} s"
                    raise TimeoutError(message)
                time.sleep(0.1)


def _wait_quiet(pid: int) -> None:
    deadline = time.monotonic() + SETTLED_IN_S
    before_s = cpu_s(pid)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_S)
        now_s = cpu_s(pid)
        if now_s - before_s <= _QUIET_S * _QUIET_PART:
            return
        before_s = now_s


def _round(contenders: Sequence[Contender], spans: int, requests: int, *, with_agents: bool) -> list[float]:
    """Microseconds of each contender's processor time for a span."""
    bodies = [_body(spans, with_agents=with_agents) for _ in range(requests)]
    runs = spans // SPANS_OF_TRACE * requests if with_agents else 0
    return [_sent(each, bodies, runs) * 1e6 / (spans * requests) for each in contenders]


def _sent(contender: Contender, bodies: Sequence[bytes], runs: int) -> float:
    """Seconds of the contender's processor time for all of them."""
    before_s = cpu_s(contender.pid)
    connection = http.client.HTTPConnection(urlsplit(contender.url).netloc, timeout=60)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    for body in bodies:
        connection.request("POST", "/v1/traces", body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()
    contender.wait(runs)
    return cpu_s(contender.pid) - before_s


def _body(spans: int, *, with_agents: bool) -> bytes:
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    part.resource.attributes.add(key="service.name").value.string_value = "support"
    made = part.scope_spans.add()
    trace_id = b""
    for number in range(spans):
        place = number % SPANS_OF_TRACE
        if place == 0:
            trace_id = (next(_traces) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big")
        start_ns = 1_700_000_000_000_000_000 + number * 977
        # Those above come last, as SDKs send them.
        span = made.spans.add(
            trace_id=trace_id,
            span_id=(SPANS_OF_TRACE - place).to_bytes(8, "big"),
            parent_span_id=b"" if place == SPANS_OF_TRACE - 1 else (1).to_bytes(8, "big"),
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + 1_000_000_000 + number * 1_777,
        )
        _fill(span, place, with_agents=with_agents)
    return gzip.compress(request.SerializeToString())


def _fill(span: Span, place: int, *, with_agents: bool) -> None:
    given: dict[str, str | int] = {}
    if not with_agents:
        span.name = f"GET /things/{place}"
    elif place == SPANS_OF_TRACE - 1:
        span.name = "invoke_agent support-bot"
        given = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "support-bot",
            "agent.outcome.success": "true",
            "agent.outcome.label": "resolved",
            "agent.outcome.value": "12.50",
            "agent.outcome.currency": "EUR",
            "agent.outcome.job_type": "ticket",
            "agent.outcome.run_id": f"ticket-{span.trace_id.hex()}",
        }
    elif place % 4:
        span.name = f"chat model-{place % 3}"
        given = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": f"model-{place % 3}",
            "gen_ai.usage.input_tokens": 900 + place,
            "gen_ai.usage.output_tokens": 90 + place,
        }
    else:
        span.name = f"execute_tool search-{place}"
        given = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    for key, value in given.items():
        kept = span.attributes.add(key=key).value
        if isinstance(value, int):
            kept.int_value = value
        else:
            kept.string_value = value
    for number in range(_ATTRIBUTES - len(given)):
        text = f"value {place * number % 1_003} of {hash((place, number)) & 0xFFFFFF:x}"
        span.attributes.add(key=f"app.attribute.number_{number}").value.string_value = text


def _show(names: Sequence[str], rounds: Sequence[Sequence[float]], spans: int, *, with_agents: bool) -> None:
    kind = "one in twenty an agent's" if with_agents else "of no agent"
    print(f"\nrequests of {spans} spans, {kind}: microseconds of processor time a span")
    for place, name in enumerate(names):
        figure = statistics.median(figures[place] for figures in rounds)
        ratios = [statistics.median(figures[place] / figures[other] for figures in rounds) for other in (0, 2)]
        print(f"  {name:20}{figure:8.2f}   {ratios[0]:6.2f} x gunzip   {ratios[1]:6.2f} x collector", flush=True)


if __name__ == "__main__":
    main()

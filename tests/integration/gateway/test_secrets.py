# SPDX-License-Identifier: Apache-2.0
"""Secrets and personal texts planted wherever a gateway is given something: found nowhere that others look."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.integration.gateway.agent_traces import issued_requests, post
from tests.integration.gateway.served import Served
from tests.integration.gateway.test_serve import command
from tests.integration.ledger.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.backends

HEADERS: Final = ("authorization", "x-api-key", "cookie", "proxy-authorization", "x-other")
ON_SPANS: Final = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "llm.input_messages.0.message.content",
    "input.value",
    "output.value",
    "traceloop.entity.input",
    "http.request.header.authorization",
    "db.query.text",
    "user.email",
    "exception.stacktrace",
)


class Plants:
    """Makes secrets that are told apart, and knows them all."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def new(self, where: str) -> str:
        self.made.append(f"s3cr3t-{len(self.made):02d}-{''.join(filter(str.isalnum, where))}")
        return self.made[-1]

    def found_in(self, text: str) -> list[str]:
        return [secret for secret in self.made if secret in text]


def planted_spans(plants: Plants) -> bytes:
    """A run whose spans carry prompts, answers, keys and an exception's text, on each of these attributes."""
    (issued,) = issued_requests(1, 1, seed=5)
    request = ExportTraceServiceRequest.FromString(issued.body)
    for span in request.resource_spans[0].scope_spans[0].spans:
        for name in ON_SPANS if not span.parent_span_id else ():
            span.attributes.append(KeyValue(key=name, value=AnyValue(string_value=plants.new(name))))
        event = span.events.add()
        event.name = "exception"
        for name in ("exception.message", "exception.stacktrace"):
            event.attributes.append(KeyValue(key=name, value=AnyValue(string_value=plants.new(f"event {name}"))))
    return request.SerializeToString()


def planted_log(plants: Plants) -> bytes:
    """An event of ours that cannot be read, and a log record of another."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for name in ("agent.outcome", "other"):
        record = records.add()
        record.event_name = name
        record.body.string_value = plants.new(f"body of {name}")
        record.attributes.append(KeyValue(key="x", value=AnyValue(string_value=plants.new(f"attribute of {name}"))))
    return request.SerializeToString()


def bad_requests(gateway: Served, plants: Plants) -> Iterator[str]:
    """The answers to requests that are refused, each with something planted in it."""
    for name in HEADERS:
        yield str(gateway.ask("/v1/runs", headers={name: f"Bearer {plants.new(name)}"}))
    yield str(gateway.ask(f"/v1/runs?api_key={plants.new('query')}"))
    yield str(gateway.ask(f"/v1/runs/run_id:{plants.new('path')}"))
    yield str(gateway.ask("/v1/reports", f'{{"x": "{plants.new("broken JSON")}"'.encode()))
    yield str(gateway.ask("/v1/runs", {"agent": 7, plants.new("field"): plants.new("value")}))
    parts = urlsplit(gateway.otlp_http)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nBad Header\x00: " + plants.new("no header").encode() + b"\r\n\r\n"
        )
        yield connection.recv(65_536).decode(errors="replace")


def test_nothing_planted_is_found(tmp_path: Path) -> None:
    """Not in logs, first lines, answers, metrics, health, page, ledger, or in what is delivered."""
    plants = Plants()
    made = command(
        *("keys", "create", "--name", "all", "--may", "admin"), AGENT_OUTCOMES_STATE_FOLDER=str(tmp_path / "state")
    )
    (key,) = made.stdout.split()
    plants.made.append(key)
    env = {
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-token={plants.new('exporter header')}",
        "AGENT_OUTCOMES_FORWARD_TO": f"http://user:{plants.new('forward')}@127.0.0.1:9",
    }
    seen: list[str] = []
    with Receiver() as receiver:
        to = f"--deliver-to=http://user:{plants.new('deliver')}@127.0.0.1:{receiver.port}"
        with Served(tmp_path, "--settle-after=0.2", to, env=env) as gateway:
            allowed = {"authorization": f"Bearer {key}"}
            assert post(gateway.otlp_http, "traces", planted_spans(plants), allowed) == 200
            assert post(gateway.otlp_http, "logs", planted_log(plants), allowed) == 200
            gateway.wait_for(lambda: gateway.ask("/v1/runs", headers=allowed).body["runs"])
            (run,) = gateway.ask("/v1/runs", headers=allowed).body["runs"]
            places = ("/readyz", "/healthz", "/metrics", "/v1/totals", "/v1/export", f"/v1/runs/{run['outcome_id']}")
            seen += [str(gateway.ask(place, headers=allowed).body) for place in places]
            seen += [str(gateway.ask(place).body) for place in ("/", "/readyz", "/openapi.json")]
            seen += bad_requests(gateway, plants)
            gateway.wait_for(receiver.seen.uids)
            assert gateway.stop() == 0
            seen += [gateway.log_path.read_text(), json.dumps(gateway.log()), *gateway.first_lines]
        seen += [str(request) for request in (*receiver.seen.logs, *receiver.seen.metrics)]
    seen += [path.read_bytes().decode("latin-1") for path in (tmp_path / "state").glob("ledger.db*")]
    assert len(plants.made) >= 30
    assert plants.found_in("\n".join(seen)) == []

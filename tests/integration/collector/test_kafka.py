# SPDX-License-Identifier: Apache-2.0
"""Two tiers with a real Kafka broker between them: nothing is lost when one of them is killed."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.integration.backends import Kafka, free_port, wait_until
from tests.integration.forwarding import backend_endpoints
from tests.integration.load import Load
from tests.integration.otelcol import CONFIG_FOLDER, Collector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNS_MIN = 500
SPANS_HELD = 200
ARRIVAL_TIMEOUT_S = 90


@pytest.mark.timeout(300, func_only=True)
def test_core_tier_killed_midway_loses_nothing(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path: Path
) -> None:
    """The core collector is killed while its backends are away, under load: all that was accepted comes out after."""
    port = free_port()
    with ExitStack() as running:
        kafka = running.enter_context(Kafka(backend_binary("kafka"), tmp_path / "kafka"))
        sink = running.enter_context(_sink(otelcol_binary, tmp_path, port))
        env = {"KAFKA_BROKERS": f"[{kafka.brokers}]"}
        edge = running.enter_context(_edge(otelcol_binary, tmp_path, env))
        load = running.enter_context(Load(edge.http_endpoint))
        env |= backend_endpoints(sink)
        core = running.enter_context(_core(otelcol_binary, tmp_path, env))
        wait_until(lambda: sink.spans() and sink.logs() and sink.metrics(), ARRIVAL_TIMEOUT_S)
        # With its backends away the core holds messages that it has read and cannot send: those a kill could lose.
        sink.stop()
        core.wait_for(lambda it: "Exporting failed" in it.stderr(), ARRIVAL_TIMEOUT_S)
        wait_until(lambda: load.runs >= RUNS_MIN)
        os.kill(core.pid, signal.SIGKILL)
        assert core.stop() == -signal.SIGKILL

        sink = running.enter_context(_sink(otelcol_binary, tmp_path, port))
        running.enter_context(_core(otelcol_binary, tmp_path, env))
        load.finish()
        assert len(load.accepted_events) == load.runs
        _wait_for_all(sink, load)


@pytest.mark.timeout(300, func_only=True)
def test_edge_keeps_what_kafka_does_not_take(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path: Path
) -> None:
    """With the broker away, the edge collector is killed and started again: what it accepted reaches Kafka after."""
    port = free_port()
    with ExitStack() as running:
        kafka = running.enter_context(Kafka(backend_binary("kafka"), tmp_path / "kafka"))
        sink = running.enter_context(_sink(otelcol_binary, tmp_path, 0))
        env = {"KAFKA_BROKERS": f"[{kafka.brokers}]"}
        edge_env = env | {"OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}"}
        edge = running.enter_context(_edge(otelcol_binary, tmp_path, edge_env))
        load = running.enter_context(Load(f"http://127.0.0.1:{port}"))
        running.enter_context(_core(otelcol_binary, tmp_path, env | backend_endpoints(sink)))
        wait_until(lambda: sink.spans() and sink.logs() and sink.metrics(), ARRIVAL_TIMEOUT_S)
        kafka.stop()
        accepted = len(load.accepted_spans)
        wait_until(lambda: len(load.accepted_spans) > accepted + SPANS_HELD)
        os.kill(edge.pid, signal.SIGKILL)
        assert edge.stop() == -signal.SIGKILL
        running.enter_context(_edge(otelcol_binary, tmp_path, edge_env))
        kafka.start()
        load.finish()
        _wait_for_all(sink, load)


def _wait_for_all(sink: Collector, load: Load) -> None:
    """Wait until everything accepted came out, the counter of all runs, too; raises TimeoutError where it does not."""
    wait_until(lambda: load.accepted_spans <= _spans(sink), ARRIVAL_TIMEOUT_S)
    wait_until(lambda: load.accepted_events <= _events(sink), ARRIVAL_TIMEOUT_S)
    wait_until(lambda: _counted(sink) == load.runs, ARRIVAL_TIMEOUT_S)


def _edge(otelcol: Path, folder: Path, env: dict[str, str]) -> Collector:
    return Collector(otelcol, _folder(folder, "edge"), (CONFIG_FOLDER / "kafka-edge.yaml",), env)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(exist_ok=True)
    return folder


def _sink(otelcol: Path, folder: Path, port: int) -> Collector:
    return Collector(otelcol, _folder(folder, "sink"), env={"OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}"})


def _core(otelcol: Path, folder: Path, env: dict[str, str]) -> Collector:
    return Collector(otelcol, _folder(folder, "core"), (CONFIG_FOLDER / "kafka-core.yaml",), env)


def _spans(sink: Collector) -> set[tuple[str, str]]:
    return {(span.trace_id.hex(), span.span_id.hex()) for span in sink.spans()}


def _events(sink: Collector) -> set[str]:
    return {
        attribute.value.string_value
        for record in sink.log_records()
        for attribute in record.attributes
        if attribute.key == "log.record.uid"
    }


def _counted(sink: Collector) -> int:
    """The runs in the newest points of the counter, by their own time."""
    points = [point for metric in sink.metrics_named("agent.runs") for point in metric.sum.data_points]
    newest_ns = max((point.time_unix_nano for point in points), default=0)
    return sum(int(point.as_double or point.as_int) for point in points if point.time_unix_nano == newest_ns)

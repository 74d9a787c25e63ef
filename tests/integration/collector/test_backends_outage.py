# SPDX-License-Identifier: Apache-2.0
"""What the collector accepted arrives, whatever dies: the collector, by SIGKILL, and every backend, for a minute."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.integration.backend_stack import enter_all
from tests.integration.backends import Jaeger, Loki, Prometheus, free_port, wait_until
from tests.integration.load import SERVICE, Load
from tests.integration.otelcol import CONFIG_FOLDER, Collector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUTAGE_S = 60
KILLS = 2
ARRIVAL_TIMEOUT_S = 120
RUNS_MIN = 1000
STREAM = f'{{service_name="{SERVICE}"}}'


class _Scene:
    """Three backends that can be away, and a collector that always comes back on the same ports and queue."""

    def __init__(self, binary: Callable[[str], Path], otelcol: Path, folder: Path) -> None:
        self.prometheus = Prometheus(binary("prometheus"), folder / "prometheus")
        self.loki = Loki(binary("loki"), folder / "loki")
        self.jaeger = Jaeger(binary("jaeger"), folder / "jaeger")
        self.backends = (self.prometheus, self.loki, self.jaeger)
        self._otelcol = otelcol
        self._folder = folder / "collector"
        self._folder.mkdir()
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def collector(self) -> Collector:
        """A collector, not yet started."""
        env = {
            "PROMETHEUS_ENDPOINT": self.prometheus.otlp_endpoint,
            "LOKI_ENDPOINT": self.loki.otlp_endpoint,
            "JAEGER_ENDPOINT": self.jaeger.otlp_endpoint,
            "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self._port}",
        }
        return Collector(self._otelcol, self._folder, (CONFIG_FOLDER / "backends.yaml",), env)


@pytest.mark.timeout(420, func_only=True)
def test_what_was_accepted_arrives(backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path: Path) -> None:
    """Under load, backends away for 60 s, the collector killed twice meanwhile: all arrives, nothing counts twice."""
    scene = _Scene(backend_binary, otelcol_binary, tmp_path)
    with ExitStack() as running:
        enter_all(scene.backends, running)
        # Jaeger keeps traces in memory only, so it is away from the start.
        scene.jaeger.stop()
        collector = running.enter_context(scene.collector())
        load = running.enter_context(Load(scene.endpoint))
        wait_until(lambda: (scene.prometheus.value("sum(agent_runs_total)") or 0) > 0)
        wait_until(lambda: scene.loki.records(STREAM))
        scene.prometheus.stop()
        scene.loki.stop()
        for _ in range(KILLS):
            _pause(OUTAGE_S / (KILLS + 1))
            os.kill(collector.pid, signal.SIGKILL)
            assert collector.stop() == -signal.SIGKILL
            collector = running.enter_context(scene.collector())
        _pause(OUTAGE_S / (KILLS + 1))
        for backend in scene.backends:
            backend.start()
        _pause(2)
        load.finish()
        _assert_all_arrived(scene, load)


def _pause(seconds: float) -> None:
    """Let the load go on: what is tested is a span of time."""
    threading.Event().wait(seconds)


def _assert_all_arrived(scene: _Scene, load: Load) -> None:
    assert load.runs > RUNS_MIN
    # The counters are cumulative, so the last export holds every run, those too whose spans were refused.
    wait_until(lambda: scene.prometheus.value("sum(agent_runs_total)") == load.runs, ARRIVAL_TIMEOUT_S)
    assert scene.prometheus.value("sum(resets(agent_runs_total[1h]))") == 0
    highest = scene.prometheus.value("max_over_time(sum(agent_runs_total)[1h:1s])")
    assert highest is not None
    assert highest <= load.runs
    assert scene.prometheus.value("sum(agent_outcome_value_total)") == pytest.approx(load.runs / 10, abs=1e-9)

    # Which ones are missing says more than that some are.
    with suppress(TimeoutError):
        wait_until(lambda: load.accepted_events <= _events(scene.loki), ARRIVAL_TIMEOUT_S)
    assert load.accepted_events - _events(scene.loki) == set()
    with suppress(TimeoutError):
        wait_until(lambda: load.accepted_spans <= _spans(scene.jaeger), ARRIVAL_TIMEOUT_S)
    assert load.accepted_spans - _spans(scene.jaeger) == set()
    assert len(load.accepted_events) > RUNS_MIN


def _events(loki: Loki) -> set[str]:
    return {record["log_record_uid"] for record in loki.records(STREAM)}


def _spans(jaeger: Jaeger) -> set[tuple[str, str]]:
    found = jaeger.search(SERVICE, {}, limit=10_000)
    return {(trace_id, span["spanID"]) for trace_id, spans in found.items() for span in spans}

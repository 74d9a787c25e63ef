# SPDX-License-Identifier: Apache-2.0
"""Whoever is killed, what was acknowledged arrives, and the backend's sums are the ledger's to the last digit."""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.backend_stack import ALL_METRICS_EXPORTERS, STACK_CONFIG, enter_all
from tests.integration.backends import Loki, Prometheus, PromQL, VictoriaMetrics, free_port, wait_until
from tests.integration.ledger.accepted import made_run
from tests.integration.ledger.agent_program import Agent
from tests.integration.ledger.deliver_program import delivering
from tests.integration.ledger.receiver import TAKEN, Receiver, Reply, records_of
from tests.integration.otelcol import Collector

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

pytestmark = pytest.mark.backends

OFTEN: Final = {"OTEL_METRIC_EXPORT_INTERVAL": "500"}
KILLS: Final = 4
# A shared machine is slow at times.
PATIENCE_S: Final = 90.0
RATE: Final = 150.0
# How many runs there are before a kill depends on how fast the machine is: only the last agent's are counted out.
WITHOUT_END: Final = sys.maxsize
LAST_RUNS: Final = 150
STREAM: Final = '{service_name="shop"}'


def uids(count: int) -> set[str]:
    return {f"{made_run(number).id}-0" for number in range(count)}


def totals_of(store: Store) -> dict[str, list[float]]:
    """The ledger's sums as doubles, by instrument, in order of size."""
    found: dict[str, list[float]] = {}
    for total in store.series().totals:
        found.setdefault(total.instrument, []).append(float(total.amount))
    return {name: sorted(amounts) for name, amounts in found.items()}


def received_totals(receiver: Receiver) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for (name, _, _), value in receiver.seen.last_sums().items():
        if not name.startswith("agent_outcomes.ledger."):
            found.setdefault(name, []).append(float(value))
    return {name: sorted(amounts) for name, amounts in found.items()}


@pytest.mark.timeout(300)
def test_agent_and_deliverer_killed_in_turn(ledger_url: str) -> None:
    """SIGKILL of each again and again: acknowledged and lost 0, counted twice 0, sent twice only what was under way.

    The deliverer is killed when the receiver has taken a batch and not yet answered, the agent at random moments.
    """
    chance = random.Random(12)
    store = Store.open(read_location(ledger_url))
    with Receiver() as receiver, ExitStack() as running:
        environ = receiver.environ | OFTEN
        doomed: list[subprocess.Popen[bytes]] = []
        under_way: list[int] = []

        def answer(request: ExportLogsServiceRequest) -> Reply:
            if doomed:
                under_way.append(sum(1 for _ in records_of(request)))
                doomed.pop().kill()
            return TAKEN

        receiver.on_logs = answer
        acknowledged = 0
        for _ in range(KILLS):
            deliverer = running.enter_context(delivering(ledger_url, environ))
            agent = running.enter_context(Agent(ledger_url, acknowledged, WITHOUT_END, RATE))
            until = acknowledged + chance.randrange(20, 110)
            wait_until(lambda agent=agent, until=until: agent.acknowledged >= until, PATIENCE_S)  # type: ignore[misc]
            doomed.append(deliverer)
            wait_until(lambda deliverer=deliverer: deliverer.poll() is not None, PATIENCE_S)  # type: ignore[misc]
            acknowledged = agent.kill()
        running.enter_context(delivering(ledger_url, environ))
        runs = acknowledged + LAST_RUNS
        assert running.enter_context(Agent(ledger_url, acknowledged, runs, RATE)).wait() == runs
        wait_until(lambda: set(receiver.seen.uids()) == uids(runs), PATIENCE_S)
        wait_until(lambda: received_totals(receiver) == totals_of(store), PATIENCE_S)
        status = store.status()
        assert (status.accepted, status.waiting, status.dead) == (runs, 0, ())
        twice = receiver.seen.uids().total() - runs
        assert 0 < twice <= sum(under_way)
        print(f"{2 * KILLS} kills, {runs} events, {twice} of them came twice, under the same uid")
    store.close()


class Scene:
    """Backends, and a collector that always comes back on the same port and with the same queue."""

    def __init__(self, binary: Callable[[str], Path], otelcol: Path, folder: Path) -> None:
        self.prometheus = Prometheus(binary("prometheus"), folder / "prometheus")
        self.victoria_metrics = VictoriaMetrics(binary("victoria-metrics"), folder / "victoria-metrics")
        self.loki = Loki(binary("loki"), folder / "loki")
        self.backends = (self.prometheus, self.victoria_metrics, self.loki)
        self._otelcol = otelcol
        self._folder = folder / "collector"
        self._folder.mkdir()
        self._port = free_port()

    @property
    def environ(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def collector(self) -> Collector:
        """A collector, not yet started."""
        env = {
            "PROMETHEUS_ENDPOINT": self.prometheus.otlp_endpoint,
            "VICTORIA_METRICS_ENDPOINT": self.victoria_metrics.otlp_endpoint,
            "LOKI_ENDPOINT": self.loki.otlp_endpoint,
            "JAEGER_ENDPOINT": "http://127.0.0.1:9",
            "METRICS_EXPORTERS": ALL_METRICS_EXPORTERS,
            "SCRAPE_ENDPOINT": f"127.0.0.1:{free_port()}",
            "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self._port}",
        }
        return Collector(self._otelcol, self._folder, (STACK_CONFIG,), env)


@pytest.fixture
def scene(backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(backend_binary, otelcol_binary, tmp_path)
    with ExitStack() as running:
        enter_all(scene.backends, running)
        yield scene


def backend_totals(backend: PromQL, names: set[str]) -> dict[str, list[float]]:
    return {name: sorted(backend.values(f"{name.replace('.', '_')}_total").values()) for name in names}


def events(loki: Loki) -> list[dict[str, Any]]:
    return loki.records(STREAM, since_s=86_400 * 5)


@pytest.mark.timeout(240, func_only=True)
def test_agent_deliverer_and_collector_killed_in_turn(scene: Scene, ledger_url: str) -> None:
    """Prometheus and VictoriaMetrics have the ledger's totals to the last digit, Loki has each event."""
    store = Store.open(read_location(ledger_url))
    with ExitStack() as running:
        collector = running.enter_context(scene.collector())
        environ = scene.environ | OFTEN
        deliverer = running.enter_context(delivering(ledger_url, environ))
        agent = running.enter_context(Agent(ledger_url, 0, WITHOUT_END, RATE / 2))
        wait_until(lambda: (scene.prometheus.value("sum(agent_runs_total)") or 0) > 50)
        deliverer.kill()
        running.enter_context(delivering(ledger_url, environ))
        at = agent.acknowledged
        wait_until(lambda: agent.acknowledged > at + 60)
        acknowledged = agent.kill()
        agent = running.enter_context(Agent(ledger_url, acknowledged, WITHOUT_END, RATE / 2))
        wait_until(lambda: agent.acknowledged > acknowledged + 60)
        os.kill(collector.pid, signal.SIGKILL)
        assert collector.stop() == -signal.SIGKILL
        running.enter_context(scene.collector())
        acknowledged = agent.kill()
        runs = acknowledged + LAST_RUNS
        assert running.enter_context(Agent(ledger_url, acknowledged, runs, RATE / 2)).wait() == runs
        expected = totals_of(store)
        assert sum(expected["agent.runs"]) == runs
        for backend in (scene.prometheus, scene.victoria_metrics):
            wait_until(lambda backend=backend: backend.value("sum(agent_runs_total)") == runs, 60.0)  # type: ignore[misc]
            assert backend_totals(backend, set(expected)) == expected
        assert scene.prometheus.value("sum(resets(agent_runs_total[1h]))") == 0
        wait_until(lambda: {event["log_record_uid"] for event in events(scene.loki)} == uids(runs), 60.0)
        print(f"{runs} events, {len(events(scene.loki)) - runs} of them twice in Loki")
    store.close()

# SPDX-License-Identifier: Apache-2.0
"""The collector with backends.yaml and every backend it can send to, and the demo that fills them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.integration.backends import Backend, Jaeger, Loki, Prometheus, VictoriaMetrics, free_port
from tests.integration.otelcol import CONFIG_FOLDER, ROOT, Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

# backends.yaml for the Loki that is built here, 3.7.
STACK_CONFIG: Final = CONFIG_FOLDER / "loki-before-3.8.yaml"
RULES: Final = sorted((CONFIG_FOLDER / "prometheus").glob("*.yaml"))
ALL_METRICS_EXPORTERS: Final = "[otlp_http/prometheus, prometheus, otlp_http/victoriametrics]"
DEMO_TIMEOUT_S: Final = 180.0
DEMO_RUNS: Final = 1000
DEMO_SERVICE: Final = "agent-outcomes-demo"

Ports = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Stack:
    """A collector and the backends it sends to.

    Prometheus runs twice, as both ways into one would count everything twice: `prometheus` takes OTLP and has the
    shipped rules, `scraping` scrapes.
    """

    collector: Collector
    prometheus: Prometheus
    scraping: Prometheus
    victoria_metrics: VictoriaMetrics
    loki: Loki
    jaeger: Jaeger
    scrape_url: str


@dataclass(frozen=True, slots=True)
class Demo:
    """What a run of the demo printed, and the folder it wrote the same OTLP to."""

    printed: str
    folder: Path

    def table(self, title: str) -> list[dict[str, str]]:
        """Return the rows of a printed table by its header's words. Raises KeyError where no table has that title."""
        for block in self.printed.split("\n\n"):
            lines = block.splitlines()
            if lines[:1] == [title]:
                return list(_rows(lines))
        raise KeyError(title)


def _rows(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    _, header, rule, *rows = lines
    starts = [at for at in range(len(rule)) if rule[at] == "-" and (at == 0 or rule[at - 1] == " ")]
    ends = [*(start - 2 for start in starts[1:]), None]
    spans = list(zip(starts, ends, strict=True))
    names = [header[start:end].strip() for start, end in spans]
    for row in rows:
        yield dict(zip(names, (row[start:end].strip() for start, end in spans), strict=True))


@contextmanager
def running_stack(
    binary: Callable[[str], Path],
    otelcol: Path,
    folder: Path,
    *,
    config: Path = STACK_CONFIG,
    ports: Ports | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Run everything to the end of the block, each in a folder of its own below `folder`.

    `binary` gives a backend's binary by its name in build_backends.py. `ports` are wanted ports by backend and port
    name (the scraping Prometheus is `scraping`), else the system chooses. `env` adds to the collector's environment.
    """
    wanted = ports or {}
    scrape = f"127.0.0.1:{wanted.get('collector', {}).get('scrape') or free_port()}"
    prometheus = Prometheus(binary("prometheus"), folder / "prometheus", wanted.get("prometheus"), rules=RULES)
    scraping = Prometheus(binary("prometheus"), folder / "scraping", wanted.get("scraping"), scrapes=[scrape])
    victoria_metrics = VictoriaMetrics(
        binary("victoria-metrics"), folder / "victoria-metrics", wanted.get("victoria-metrics")
    )
    loki = Loki(binary("loki"), folder / "loki", wanted.get("loki"))
    jaeger = Jaeger(binary("jaeger"), folder / "jaeger", wanted.get("jaeger"))
    backends: list[Backend] = [prometheus, scraping, victoria_metrics, loki, jaeger]
    with ExitStack() as running:
        enter_all(backends, running)
        variables = {
            "PROMETHEUS_ENDPOINT": prometheus.otlp_endpoint,
            "VICTORIA_METRICS_ENDPOINT": victoria_metrics.otlp_endpoint,
            "LOKI_ENDPOINT": loki.otlp_endpoint,
            "JAEGER_ENDPOINT": jaeger.otlp_endpoint,
            "METRICS_EXPORTERS": ALL_METRICS_EXPORTERS,
            "SCRAPE_ENDPOINT": scrape,
        } | dict(env or {})
        (folder / "collector").mkdir(parents=True, exist_ok=True)
        collector = running.enter_context(Collector(otelcol, folder / "collector", (config,), variables))
        yield Stack(collector, prometheus, scraping, victoria_metrics, loki, jaeger, f"http://{scrape}/metrics")


def enter_all(backends: Sequence[Backend], running: ExitStack) -> None:
    """Start the backends at the same time, and stop them with `running`; raises what the first that failed raised."""
    for backend in backends:
        running.callback(backend.stop)
    with ThreadPoolExecutor(len(backends)) as pool:
        for started in [pool.submit(backend.__enter__) for backend in backends]:
            started.result()


def run_demo(endpoint: str, folder: Path, *arguments: str) -> Demo:
    """Run the demo to its end into an OTLP endpoint and files in `folder`. Raises CalledProcessError if it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OUTCOMES_"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), "--endpoint", endpoint, "--out", str(folder), *arguments],
        # One export at the end: a scrape between two of them may come too late for the first one's exemplars.
        env=inherited | {"PYTHONPATH": str(ROOT / "src"), "OTEL_METRIC_EXPORT_INTERVAL": "600000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEMO_TIMEOUT_S,
        check=True,
    )
    return Demo(done.stdout, folder)


def holds_all_runs(stack: Stack) -> bool:
    """Whether each backend has all runs of one demo, whatever else they say."""
    counted = "sum(agent_runs_total)"
    events = f'sum(count_over_time({{service_name="{DEMO_SERVICE}"}} [1h]))'
    return (
        all(it.value(counted) == DEMO_RUNS for it in (stack.prometheus, stack.scraping, stack.victoria_metrics))
        and [float(series["values"][-1][1]) for series in stack.loki.query_range(events)] == [DEMO_RUNS]
        and DEMO_SERVICE in stack.jaeger.services()
    )

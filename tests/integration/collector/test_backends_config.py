# SPDX-License-Identifier: Apache-2.0
"""Each shipped collector configuration starts as it is, says who needs it, and takes endpoints and credentials."""

from __future__ import annotations

import re
import stat
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import yaml

from tests.integration.backends import ANSWER_TIMEOUT_S, free_port, wait_until
from tests.integration.load import Load
from tests.integration.otelcol import CONFIG_FOLDER, READY, Collector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.backends

SHIPPED = sorted(path for path in CONFIG_FOLDER.glob("*.yaml") if path.name != "builder-config.yaml")
VARIANTS = ("loki-before-3.8.yaml", "redaction.yaml", "tail-sampling.yaml")
TOLD_BY_BACKENDS = (*VARIANTS, "gateway.yaml")
"""Those whose head leads to that of backends.yaml for the settings that they share."""
VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")
SIGNAL_PATHS = {"/v1/traces": "jaeger", "/v1/logs": "loki", "/v1/metrics": "prometheus"}
OWNER_ONLY = 0o700

by_name = pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.name)


@by_name
def test_it_starts_with_nothing_else_running(otelcol_binary: Path, tmp_path: Path, config: Path) -> None:
    """The collector becomes ready while no backend and no broker listens."""
    env = {"SCRAPE_ENDPOINT": f"127.0.0.1:{free_port()}"}
    with Collector(otelcol_binary, tmp_path, (config,), env) as collector:
        assert READY in collector.stderr()


@by_name
def test_its_head_says_who_needs_it_and_what_it_costs(config: Path) -> None:
    """The head comment has both, the command to run it, and each variable of the file with its default."""
    text = config.read_text()
    head = re.match(r"(#.*\n)+", text)
    assert head is not None
    for part in ("# Who needs it: ", "# What it costs: ", f"--config collector-config/{config.name}\n"):
        assert part in head[0]
    told = head[0] + (CONFIG_FOLDER / "backends.yaml").read_text() if config.name in TOLD_BY_BACKENDS else head[0]
    missing = [name for name, _ in VARIABLE.findall(text) if not re.search(rf"^#.*\b{name}\b", told, re.MULTILINE)]
    assert missing == []


@by_name
def test_defaults_are_loopback(config: Path) -> None:
    """No default leads beyond this machine."""
    defaults = [default for name, default in VARIABLE.findall(config.read_text()) if name.endswith("_ENDPOINT")]
    assert defaults
    assert [default for default in defaults if not re.search(r"(^|//|\[)127\.0\.0\.1:\d+", default)] == []


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_backends_yaml_with_processors(name: str) -> None:
    """Processors apart, the variants are the same as backends.yaml, so that all of them behave alike."""
    base, variant = (yaml.safe_load((CONFIG_FOLDER / file).read_text()) for file in ("backends.yaml", name))
    for key, value in base.pop("processors").items():
        assert variant["processors"][key] == value
    del variant["processors"]
    for config in (base, variant):
        for pipeline in config["service"]["pipelines"].values():
            assert pipeline.pop("processors")[0] == "memory_limiter"
    assert variant == base


def test_readme_lists_every_file() -> None:
    """The README's table has a row for each configuration."""
    rows = re.findall(r"^\| `([\w.-]+\.yaml)` \|", (CONFIG_FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted([*(path.name for path in SHIPPED), "builder-config.yaml"])


@contextmanager
def _listening(seen: dict[str, str | None]) -> Iterator[str]:
    """An OTLP backend that notes the credentials it was shown, by the path: its URL."""

    class Noting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen[self.path] = self.headers["Authorization"]
            self.send_response(200)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_credentials_go_to_their_backend(otelcol_binary: Path, tmp_path: Path) -> None:
    """Each backend is shown the credentials meant for it, and only those; the queue's folder is its owner's alone."""
    seen: dict[str, str | None] = {}
    with _listening(seen) as url:
        env = {f"{name.upper()}_ENDPOINT": url for name in SIGNAL_PATHS.values()}
        env |= {f"{name.upper()}_AUTHORIZATION": f"Bearer for-{name}" for name in SIGNAL_PATHS.values()}
        config = (CONFIG_FOLDER / "backends.yaml",)
        with Collector(otelcol_binary, tmp_path, config, env) as collector, Load(collector.http_endpoint) as load:
            wait_until(lambda: set(seen) == set(SIGNAL_PATHS))
            load.finish()
    assert seen == {path: f"Bearer for-{name}" for path, name in SIGNAL_PATHS.items()}
    assert stat.S_IMODE((tmp_path / "otel-queue").stat().st_mode) == OWNER_ONLY


def test_metrics_can_be_fetched_alone(otelcol_binary: Path, tmp_path: Path) -> None:
    """With `METRICS_EXPORTERS=[prometheus]` metrics and exemplars are shown to whom fetches them, and sent nowhere."""
    env = {"METRICS_EXPORTERS": "[prometheus]", "SCRAPE_ENDPOINT": f"127.0.0.1:{free_port()}"}
    # Nothing listens there, while a person's own backends may listen at the defaults.
    env |= {name: f"http://127.0.0.1:{free_port()}" for name in ("LOKI_ENDPOINT", "JAEGER_ENDPOINT")}
    config = (CONFIG_FOLDER / "backends.yaml",)
    with Collector(otelcol_binary, tmp_path, config, env) as collector, Load(collector.http_endpoint) as load:
        wait_until(lambda: load.runs)
        load.finish()
        shown = wait_until(lambda: _agent_metrics(env["SCRAPE_ENDPOINT"]))
        assert "9090" not in collector.stderr()
    counted = re.findall(r'^agent_runs_total{.*gen_ai_agent_name="loaded".*} ([\d.]+) ', shown, re.MULTILINE)
    assert sum(map(float, counted)) == load.runs
    exemplar = r'^agent_run_duration_seconds_bucket{.*} \d+ [\d.e+]+ # {.*trace_id="[0-9a-f]{32}"'
    assert re.search(exemplar, shown, re.MULTILINE)


def _agent_metrics(address: str) -> str:
    # Exemplars are shown only to those who ask for OpenMetrics, as Prometheus does.
    request = Request(f"http://{address}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_TIMEOUT_S) as answer:
        text = str(answer.read().decode())
    return text if "agent_runs_total" in text else ""

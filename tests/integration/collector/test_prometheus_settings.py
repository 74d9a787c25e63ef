# SPDX-License-Identifier: Apache-2.0
"""What backends.yaml says Prometheus needs is what the tests run it with, and does what it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from tests.integration.backend_configs import PROMETHEUS_CONFIG
from tests.integration.backends import Prometheus, wait_until
from tests.integration.otelcol import CONFIG_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNS: Final = "agent_runs_total"
PROCESS: Final = {"service.name": "forking", "service.instance.id": "one", "deployment.environment.name": "staging"}


def _export(prometheus: Prometheus, count: int, scope: dict[str, str]) -> None:
    exporter = OTLPMetricExporter(f"{prometheus.otlp_endpoint}/v1/metrics")
    provider = MeterProvider([PeriodicExportingMetricReader(exporter)], Resource(PROCESS))
    provider.get_meter("agent_outcomes", attributes=scope).create_counter("agent.runs").add(count)
    provider.shutdown()


@pytest.mark.parametrize("setting", ["storage", "otlp"])
def test_the_tests_run_it_as_backends_yaml_says(setting: str) -> None:
    """The settings in the head comment are those of the Prometheus that all tests and `make stack` start."""
    head = re.sub(r"\n# *", " ", (CONFIG_FOLDER / "backends.yaml").read_text(encoding="utf-8"))
    told = re.search(rf"`({setting}: {{[^`]*}})`", head)
    assert told is not None
    run = yaml.safe_load(PROMETHEUS_CONFIG.format(scrapes="[]", rules="[]"))
    assert yaml.safe_load(told[1]) == {setting: run[setting]}


def test_a_forked_childs_counts_stand_beside_its_parents(backend_binary: Callable[[str], Path], tmp_path: Path) -> None:
    """Same process identity, one scope with the child's process id: two series, each with the environment's label."""
    with Prometheus(backend_binary("prometheus"), tmp_path) as prometheus:
        _export(prometheus, 5, {})
        _export(prometheus, 2, {"process.pid": "4711"})
        by_process = f"sum by (otel_scope_process_pid, deployment_environment_name) ({RUNS})"
        wait_until(lambda: prometheus.value(f"sum ({RUNS})") == 7)
        assert prometheus.values(by_process) == {("staging",): 5.0, ("staging", "4711"): 2.0}

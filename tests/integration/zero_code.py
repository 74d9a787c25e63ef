# SPDX-License-Identifier: Apache-2.0
"""An application under `opentelemetry-instrument`, with nothing in its environment but what a test gives it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import agent_outcomes
from tests.integration.otelcol import ROOT
from tests.integration.otlp_sink import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.otelcol import Collector

DEADLINE_S: Final = 90
IMPORTED_FROM: Final = Path(agent_outcomes.__file__).parent.parent
INSTRUMENT: Final = Path(sys.executable).with_name("opentelemetry-instrument")

APP: Final = """
from opentelemetry import trace

tracer = trace.get_tracer("shop")


def run(agent="bot"):
    with tracer.start_as_current_span(f"invoke_agent {agent}") as span:
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
        span.set_attribute("gen_ai.agent.name", agent)
        span.set_attribute("agent.outcome.type", "deflected")


if __name__ == "__main__":
    run()
"""


@dataclass(frozen=True, slots=True)
class Application:
    """A folder with `app.py`, run by this test's interpreter; `environ` is all that it gets."""

    folder: Path
    environ: dict[str, str]

    @classmethod
    def made_in(cls, folder: Path, collector: Collector, protocol: str = "grpc") -> Application:
        """An application that exports to the collector and finds the entry points that pyproject.toml declares."""
        (folder / "app.py").write_text(APP)
        # Written anew, as an environment may have been set up from an older pyproject.toml, or without the package.
        metadata = folder / "metadata" / "otel_agent_outcomes-0.dist-info"
        metadata.mkdir(parents=True)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", "Version: 0"]
        (metadata / "METADATA").write_text("\n".join(lines))
        sections = [
            "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
            for group, points in project["entry-points"].items()
        ]
        (metadata / "entry_points.txt").write_text("\n".join(sections))
        return cls(
            folder,
            {
                "PATH": os.pathsep.join([str(INSTRUMENT.parent), os.defpath]),
                "PYTHONPATH": os.pathsep.join([str(metadata.parent), str(IMPORTED_FROM)]),
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint_of(collector, protocol),
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            },
        )

    def start(self, *command: str, pass_fds: Sequence[int] = (), **environ: str) -> subprocess.Popen[str]:
        """Start a command under `opentelemetry-instrument`; what it prints comes from the pipes."""
        return subprocess.Popen(
            [str(INSTRUMENT), *command],
            cwd=self.folder,
            env={**self.environ, **environ},
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command under `opentelemetry-instrument` to its end."""
        process = self.start(*command, pass_fds=(), **environ)
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def python(self, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python source that can import `app`."""
        return self.run("python", "-c", script, **environ)


def endpoint_of(collector: Collector, protocol: str) -> str:
    return collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint


def run_counts(collector: Collector) -> list[int]:
    """The runs that each process has counted, by the last export of each; smallest first."""
    last: dict[str, int] = {}
    for request in collector.metrics():
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                key = repr((sorted(plain(resource.resource.attributes).items()), plain(scope.scope.attributes)))
                for metric in scope.metrics:
                    if metric.name == "agent.runs":
                        last[key] = sum(point.as_int for point in metric.sum.data_points)
    return sorted(last.values())


def agents(collector: Collector) -> list[Any]:
    """The agents whose runs' events have arrived, in their order."""
    return [plain(record.attributes)["gen_ai.agent.name"] for record in collector.log_records()]


def span_names(collector: Collector) -> list[str]:
    return [span.name for span in collector.spans()]

# SPDX-License-Identifier: Apache-2.0
"""The zero-code commands of the documents as they stand, from an empty environment to a real collector."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.otelcol import ROOT
from tests.integration.otlp_sink import plain
from tests.integration.zero_code import APP, agents, run_counts, span_names

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.otelcol import Collector

INSTALL_TIMEOUT_S = 300
DISTRIBUTION = "otel-agent-outcomes[zero-code]"
ENDPOINT = "http://127.0.0.1:4317"


@pytest.mark.timeout(INSTALL_TIMEOUT_S, func_only=True)
def test_the_documented_commands(collector: Collector, tmp_path: Path) -> None:
    """A fresh environment, the package from this tree, and both ways to start: each delivers all three signals."""
    document = (ROOT / "examples" / "zero_code" / "README.md").read_text()
    by_variables, by_file = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", document, re.DOTALL)
    assert f"```sh\n{by_variables}```" in (ROOT / "README.md").read_text()
    assert DISTRIBUTION in by_variables
    assert ENDPOINT in by_variables
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "otel.yaml").write_text(yaml.replace(ENDPOINT, collector.grpc_endpoint))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=INSTALL_TIMEOUT_S)

    here = by_variables.replace(DISTRIBUTION, f"{ROOT}[zero-code]").replace(ENDPOINT, collector.grpc_endpoint)
    started(here, tmp_path)
    assert (span_names(collector), agents(collector), run_counts(collector)) == (["invoke_agent bot"], ["bot"], [1])
    assert [span.trace_id for span in collector.spans()] == [event.trace_id for event in collector.log_records()]

    started(by_file, tmp_path)
    # This file asks for outcome spans, too.
    assert sorted(span_names(collector)) == ["agent.outcome", "invoke_agent bot", "invoke_agent bot"]
    assert (agents(collector), run_counts(collector)) == (["bot", "bot"], [1, 1])
    resources = [request.resource_metrics[0].resource for request in collector.metrics()]
    assert len({plain(resource.attributes)["service.instance.id"] for resource in resources}) == 2


def started(commands: str, folder: Path) -> None:
    """Run commands in the fresh environment; beside pip's own settings nothing is inherited."""
    kept = {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith(("PIP_", "SSL_"))}
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", commands],
        cwd=folder,
        env={**kept, "PATH": os.pathsep.join([str(folder / "venv" / "bin"), os.defpath])},
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "agent outcomes" not in done.stderr

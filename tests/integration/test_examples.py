# SPDX-License-Identifier: Apache-2.0
"""Every example as its users run it: a process of its own, its output compared with the one that stands beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.integration.backends import free_port
from tests.integration.gateway.served import Served
from tests.integration.npm import node_modules_of
from tests.integration.otelcol import CONFIG_FOLDER, Collector
from tests.integration.zero_code import Application

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
LINES_MAX: Final = 60
PLAIN: Final = (
    "batch_job",
    "fastapi_app",
    "helper_api",
    "human_time",
    "late_verdict",
    "retry_loop",
    "set_attributes",
)
JAVASCRIPT: Final = "other_language"
WEBHOOK: Final = "judge_by_webhook"
ZERO_CODE: Final = "zero_code"
# Run by tests/frameworks, where LangGraph is installed.
LANGGRAPH: Final = "langgraph_agent"
TO_CONSOLE: Final = {
    "OTEL_LOGS_EXPORTER": "console",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
}


def folders() -> set[str]:
    return {path.name for path in EXAMPLES.iterdir() if (path / "output.txt").exists()}


def steady(text: str) -> str:
    """The output without what differs from run to run: durations and ids."""
    text = re.sub(r"took \d+\.\d{3} s", "took 0.001 s", text)
    text = re.sub(r'("agent.run.duration"): [\d.e-]+', r"\1: 0.001", text)
    return re.sub(r"\b[0-9a-f]{16,32}\b", "0", text)


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "AGENT_OUTCOMES_"))}
    return kept | more


def test_every_example_is_tested_and_listed() -> None:
    """No folder is left out here, and the table in examples/README.md has each."""
    assert folders() == {*PLAIN, JAVASCRIPT, WEBHOOK, ZERO_CODE, LANGGRAPH}
    listed = set(re.findall(r"^\| \[(\w+)\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed >= folders()


@pytest.mark.parametrize("name", sorted(folders()))
def test_an_example_is_short(name: str) -> None:
    """Each program is under 60 lines."""
    for path in (EXAMPLES / name).iterdir():
        if path.suffix in {".py", ".js", ".sh"}:
            assert len(path.read_text(encoding="utf-8").splitlines()) < LINES_MAX


@pytest.mark.parametrize("name", PLAIN)
def test_an_example_prints_its_output(name: str) -> None:
    """Line by line what output.txt has, nothing on standard error, with warnings as errors."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name / "main.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.stderr == ""
    assert done.returncode == 0
    assert steady(done.stdout) == steady((EXAMPLES / name / "output.txt").read_text(encoding="utf-8"))


def test_an_agent_that_knows_nothing_of_this_package(collector: Collector, tmp_path: Path) -> None:
    """Under `opentelemetry-instrument` its outcome comes by itself; here to the console, as its head comment says."""
    folder = EXAMPLES / ZERO_CODE
    done = Application.made_in(tmp_path, collector).run("python", str(folder / "app.py"), **TO_CONSOLE)
    assert done.returncode == 0
    # What follows the attributes is the SDK's own and differs between versions.
    assert steady(done.stdout).startswith((folder / "output.txt").read_text(encoding="utf-8"))
    comment = (folder / "app.py").read_text(encoding="utf-8")
    assert " ".join(f"{key}={value}" for key, value in TO_CONSOLE.items()) in comment


def test_metrics_of_an_agent_in_another_language(otelcol_binary: Path, tmp_path: Path) -> None:
    """The JavaScript agent sends spans to a real collector, and prints the metrics which that made of them."""
    program = tmp_path / "program"
    shutil.copytree(EXAMPLES / JAVASCRIPT, program)
    (program / "node_modules").symlink_to(node_modules_of(EXAMPLES / JAVASCRIPT))
    scrape = f"127.0.0.1:{free_port()}"
    config = CONFIG_FOLDER / "metrics-only.yaml"
    with Collector(otelcol_binary, tmp_path, (config,), {"SCRAPE_ENDPOINT": scrape}) as collector:
        endpoints = environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.http_endpoint, SCRAPE_URL=f"http://{scrape}/metrics"
        )
        command = [shutil.which("node") or "node", "main.js"]
        done = subprocess.run(
            command, cwd=program, capture_output=True, text=True, timeout=60, check=False, env=endpoints
        )
    assert done.stderr == ""
    assert done.stdout == (EXAMPLES / JAVASCRIPT / "output.txt").read_text(encoding="utf-8")


def test_an_agent_in_another_language_through_a_gateway(tmp_path: Path) -> None:
    """Its spans go to `agent-outcomes serve`, which makes outcomes of them; it judges one of its runs over HTTP."""
    program = tmp_path / "program"
    shutil.copytree(EXAMPLES / JAVASCRIPT, program)
    (program / "node_modules").symlink_to(node_modules_of(EXAMPLES / JAVASCRIPT))
    with Served(tmp_path, "--settle-after=1") as gateway:
        endpoints = environment(OTEL_EXPORTER_OTLP_ENDPOINT=gateway.otlp_http, AGENT_OUTCOMES_GATEWAY=gateway.url)
        command = [shutil.which("node") or "node", "gateway.js"]
        done = subprocess.run(
            command, cwd=program, capture_output=True, text=True, timeout=60, check=False, env=endpoints
        )
    assert done.stderr == ""
    assert done.stdout == (EXAMPLES / JAVASCRIPT / "output-gateway.txt").read_text(encoding="utf-8")


def test_runs_judged_over_http(tmp_path: Path) -> None:
    """By curl and by a webhook in Python, against `agent-outcomes serve`."""
    shell = shutil.which("sh") or "sh"
    with Served(tmp_path) as gateway:
        variables = environment(AGENT_OUTCOMES_GATEWAY=gateway.url, PYTHON=f"{sys.executable}", PYTHONWARNINGS="error")
        done = subprocess.run(
            [shell, str(EXAMPLES / WEBHOOK / "main.sh")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=variables,
        )
        judged = {run["run_id"]: run["outcome"] for run in gateway.runs(agent="sales-bot")}
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == (EXAMPLES / WEBHOOK / "output.txt").read_text(encoding="utf-8")
    assert {name: (outcome["type"], outcome["revision"]) for name, outcome in judged.items()} == {
        "lead-4711": ("converted", 2),
        "lead-4712": ("unsuccessful", 1),
    }

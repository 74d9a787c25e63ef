# SPDX-License-Identifier: Apache-2.0
"""Fixtures that start a real collector and real backends, and the pipeline in memory that most tests of runs use."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.version import __version__ as sdk_version

from tests.integration.api_pipeline import ApiPipeline
from tests.integration.backend_stack import Demo, Stack, holds_all_runs, run_demo, running_stack
from tests.integration.backends import wait_until
from tests.integration.otelcol import ROOT, Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOOL_MISSING_EXIT_CODE = 3
BUILD_FIXTURES = {"otelcol_binary", "backend_binary"}
BACKEND_FIXTURES = {"backend_binary", "stack", "demo"}
TEST_TIMEOUT_S = 120
FILE_CONFIGURATION_SINCE = (1, 43)

# Older SDKs read no YAML file.
if tuple(map(int, sdk_version.split(".")[:2])) < FILE_CONFIGURATION_SINCE:
    collect_ignore = ["instrumentation/test_zero_code_yaml.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use.

    Where one of these may be a build of minutes, tests are timed without them. Tests with a backend are `backends`,
    like the modules that say so. This comes first, as `-m` selects by these marks.
    """
    for item in items:
        if not isinstance(item, pytest.Function) or "integration" not in item.path.parts:
            continue
        fixtures = set(item.fixturenames)
        if BUILD_FIXTURES & fixtures:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S, func_only=True))
        if BACKEND_FIXTURES & fixtures:
            item.add_marker(pytest.mark.backends)


@pytest.fixture(scope="session")
def otelcol_binary() -> Path:
    """The collector's binary: `OTELCOL_BIN`, else the cached build, else one built now.

    Without any of them and without Go the test is skipped, and with `CI=true` it fails.
    """
    return _built("collector", "-m", "tests.tools.build_otelcol")


def _built(what: str, *command: str) -> Path:
    """The path that a build tool prints; where it lacks Go or Maven: skipped, saying how to build, with CI failed."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == TOOL_MISSING_EXIT_CODE and os.environ.get("CI") != "true":
        pytest.skip(f"no {what}: {done.stderr}")
    if done.returncode != 0:
        pytest.fail(f"no {what}: {done.stderr}", pytrace=False)
    return Path(done.stdout.strip())


@pytest.fixture
def collector(otelcol_binary: Path, tmp_path: Path) -> Iterator[Collector]:
    """A running collector with pipeline.yaml, for this test alone."""
    with Collector(otelcol_binary, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def backend_binary() -> Callable[[str], Path]:
    """The binary of a backend by its name: from its variable (`LOKI_BIN`, ...), else the cached build, else built now.

    Without any of them and without Go (or Maven) the test is skipped, and with `CI=true` it fails.
    """
    return cache(lambda name: _built(name, "-m", "tests.tools.build_backends", name))


@pytest.fixture(scope="session")
def stack(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A collector with backends.yaml (as loki-before-3.8.yaml has it) and all backends, for the whole session."""
    with running_stack(backend_binary, otelcol_binary, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def demo(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo's 1,000 runs, once, into the session's stack; what it printed, once all backends hold it."""
    done = run_demo(stack.collector.grpc_endpoint, tmp_path_factory.mktemp("demo"))
    wait_until(lambda: holds_all_runs(stack), timeout_s=60)
    return done


@pytest.fixture
def pipeline() -> Iterator[ApiPipeline]:
    """A pipeline in which, whatever a test did, nothing of ours failed."""
    made = ApiPipeline()
    yield made
    assert made.error_count() == 0


@pytest.fixture
def sdk_warns_of_losses() -> Iterator[None]:
    """The SDK warns when a log record loses attributes to a limit; here it is meant to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Log record attributes were dropped due to limits")
        yield

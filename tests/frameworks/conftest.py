# SPDX-License-Identifier: Apache-2.0
"""Which frameworks are tested here, and one process for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from tests.frameworks.cast import CASTS
from tests.frameworks.expectations import frameworks
from tests.frameworks.observation import Observation
from tests.frameworks.scenarios import cast_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.frameworks.expectations import Framework
    from tests.frameworks.scenarios import Beyond, Scenario

ROOT: Final = Path(__file__).parents[2]
# Names the environment of `environments/` that this is: none of its frameworks may be missing.
ENVIRONMENT: Final = "FRAMEWORKS_ENVIRONMENT"


# The environment with the telemetry SDKs of others, which `test_together.py` needs.
TOGETHER: Final = "together"
# The environments with no framework in Python: what their test runs has its own packages, and is run in no other.
ELSEWHERE: Final[Mapping[str, str]] = {"javascript": "test_javascript.py", "java": "test_java.py"}


class Observe(Protocol):
    """The user's code in one scenario, as it is or with the footnote's remedy."""

    def __call__(self, framework: Framework, scenario: Scenario | Beyond, *, remedied: bool = False) -> Observation:
        """Run the cell, or tell what it showed before."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-results", action="store_true", help="write tests/frameworks/results anew, with every name"
    )
    parser.addoption(
        "--every-name", action="store_true", help="each cell with every cast of names, not with one of them"
    )


def tested_frameworks() -> list[Framework]:
    """Those of the environment that is named, whether they are installed or not; else those that are."""
    environment = os.environ.get(ENVIRONMENT)
    if environment is None:
        return [framework for framework in frameworks() if framework.is_installed]
    if environment in ELSEWHERE:
        return []
    demanded = [framework for framework in frameworks() if framework.environment == environment]
    assert demanded, f"{ENVIRONMENT}={environment}: no file in tests/frameworks/expected names this environment"
    return demanded


# Elsewhere, where no framework is installed, there is nothing to collect.
collect_ignore = [] if tested_frameworks() else ["test_frameworks.py"]
if find_spec("langgraph") is None and os.environ.get(ENVIRONMENT) != "genai":
    collect_ignore.append("test_langgraph_example.py")

named = os.environ.get(ENVIRONMENT)
if named != TOGETHER and (named is not None or find_spec("logfire") is None):
    collect_ignore.append("test_together.py")

collect_ignore += [test for environment, test in ELSEWHERE.items() if environment != named]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    tested = tested_frameworks()
    if {"framework", "scenario"} <= set(metafunc.fixturenames):
        wants_remedy = "remedy" in metafunc.function.__name__
        cells = [
            (framework, scenario)
            for framework in tested
            for scenario, cell in framework.cells.items()
            if cell.observation is not None and (cell.remedy is not None or not wants_remedy)
        ]
        ids = [f"{framework.id}-{scenario}" for framework, scenario in cells]
        metafunc.parametrize(("framework", "scenario"), cells, ids=ids)
    elif {"framework", "beyond"} <= set(metafunc.fixturenames):
        more = [(framework, beyond) for framework in tested for beyond in framework.beyond]
        metafunc.parametrize(("framework", "beyond"), more, ids=[f"{one.id}-{beyond}" for one, beyond in more])
    elif "framework" in metafunc.fixturenames:
        metafunc.parametrize("framework", tested, ids=[framework.id for framework in tested])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where no cell needs a remedy, or none is beyond the table, there is nothing to try, which is no test left out."""
    without_cells = [item for item in items if item.name in ("test_remedy[NOTSET]", "test_beyond[NOTSET]")]
    if without_cells:
        config.hook.pytest_deselected(items=without_cells)
        items[:] = [item for item in items if item not in without_cells]


@pytest.fixture(scope="session")
def observe(request: pytest.FixtureRequest) -> Iterator[Observe]:
    """Observe a cell in its framework's own process; each is observed once a session, and the same whoever plays it."""
    options = request.config.option
    has_every_name = options.every_name or options.write_results
    labs: dict[str, subprocess.Popen[str]] = {}
    known: dict[tuple[str, str, bool], Observation] = {}

    def ask(framework: Framework, scenario: Scenario | Beyond, *, remedied: bool = False) -> Observation:
        key = (framework.id, scenario.value, remedied)
        if key not in known:
            if framework.id not in labs:
                labs[framework.id] = _start(framework.id)
            numbers = range(len(CASTS)) if has_every_name else [cast_number(scenario)]
            variant = "remedy" if remedied else ""
            seen = {CASTS[n].lead: _ask(labs[framework.id], f"{scenario.value} {n} {variant}") for n in numbers}
            (known[key], *others) = seen.values()
            assert all(other == known[key] for other in others), f"a name makes the difference: {seen}"
        return known[key]

    yield ask
    for lab in labs.values():
        lab.communicate(timeout=30)


def _start(framework_id: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.frameworks.lab", framework_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


def _ask(lab: subprocess.Popen[str], request: str) -> Observation:
    assert lab.stdin is not None
    assert lab.stdout is not None
    lab.stdin.write(request + "\n")
    lab.stdin.flush()
    answer = lab.stdout.readline()
    assert answer, f"the lab's process has ended with {lab.wait(30)}; what it said is above"
    return Observation.from_json(json.loads(answer))

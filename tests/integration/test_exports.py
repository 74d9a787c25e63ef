# SPDX-License-Identifier: Apache-2.0
"""What `import agent_outcomes` gives and what it costs: the public names, and no exporter loaded."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import agent_outcomes

IMPORTED_FROM = Path(agent_outcomes.__file__).parent.parent
HEAVY = ("grpc", "requests", "urllib3", "asyncio", "google.protobuf", "opentelemetry.exporter", "opentelemetry.proto")
# What a command, or only the call of `install()`, needs.
ON_DEMAND = (
    "agent_outcomes.api.report",
    "agent_outcomes.cli",
    "agent_outcomes.doctor",
    "agent_outcomes.explain",
    "agent_outcomes.instrumentation.delivery",
    "agent_outcomes.instrumentation.flushing",
    "agent_outcomes.instrumentation.installation",
    "agent_outcomes.instrumentation.metric_outlet",
    "agent_outcomes.instrumentation.pipelines",
    "agent_outcomes.instrumentation.process_exit",
    "agent_outcomes.instrumentation.waiting_logs",
    "agent_outcomes.ledger",
    "agent_outcomes.otel_variables",
    "agent_outcomes.otlp",
    "agent_outcomes.retrying",
    "agent_outcomes.sdk.ledger_connection",
    "agent_outcomes.sdk.ledger_sink",
    "agent_outcomes.sdk.resources",
    "agent_outcomes.worker_ends",
    "alembic",
    "difflib",
    "email.utils",
    "opentelemetry.sdk._logs",
    "opentelemetry.sdk.metrics",
    "psycopg",
    "sqlalchemy",
)


def test_all_is_what_the_package_defines_publicly() -> None:
    """`__all__` lists every public name of the package, sorted, each once; some come when they are asked for."""
    assert all(hasattr(agent_outcomes, name) for name in agent_outcomes.__all__)
    public = {
        name
        for name, value in vars(agent_outcomes).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "TYPE_CHECKING"
    }
    assert public | {"__version__"} == set(agent_outcomes.__all__)
    assert agent_outcomes.__all__ == sorted(set(agent_outcomes.__all__))


def test_the_public_names_are_those_of_the_design() -> None:
    """A name that goes, or a new one, is a decision to make here."""
    assert set(agent_outcomes.__all__) == {
        "ActiveRun",
        "AgentOutcomeSpanProcessor",
        "CostKind",
        "ErrorCategory",
        "IsRun",
        "ModelCall",
        "Outcome",
        "OutcomeSampler",
        "OutcomeType",
        "Prices",
        "Problem",
        "ProblemKind",
        "RefusalCode",
        "Remedy",
        "Report",
        "ReportRefused",
        "ReportState",
        "SettingsArguments",
        "SettingsError",
        "Source",
        "State",
        "Stated",
        "Status",
        "__version__",
        "agent_run",
        "install",
        "record_outcome",
        "record_run",
        "report_cost",
        "report_outcome",
        "retry_after_s",
        "set_outcome",
    }


def test_every_public_name_is_documented() -> None:
    """Each public class and function, and each of its public methods, has a docstring of its own."""
    bare: list[str] = []
    for name in agent_outcomes.__all__:
        value = getattr(agent_outcomes, name)
        # A type alias has its text where it is written.
        if not inspect.isclass(value) and not inspect.isfunction(value):
            continue
        if not value.__doc__:
            bare.append(name)
        members = vars(value).items() if inspect.isclass(value) else ()
        bare += [
            f"{name}.{member}" for member, at in members if inspect.isfunction(at) and _is_bare(member, at.__doc__)
        ]
    assert bare == []


def test_importing_loads_no_exporter() -> None:
    """A fresh interpreter that imports the package, and uses its model, has loaded no exporter, gRPC nor asyncio."""
    loaded = loaded_by(
        "import agent_outcomes as a\n"
        "a.Outcome.failure(ConnectionError(), value='1.50'); a.agent_run('bot', job_type='x')\n"
    )
    assert "agent_outcomes.sdk.processor" in loaded
    assert among(loaded, HEAVY) == []


def test_importing_loads_what_every_program_needs_and_no_more() -> None:
    """Importing `install` loads no command, and nothing that its call is the first to need; making a processor neither.

    Its call does, so that the first span or outcome that comes finds all of it there.
    """
    made = "from agent_outcomes import install, AgentOutcomeSpanProcessor\nAgentOutcomeSpanProcessor()\n"
    # The oldest SDK loads some of these itself.
    sdk = set(loaded_by("import opentelemetry.sdk.trace"))
    assert among([name for name in loaded_by(made) if name not in sdk], ON_DEMAND) == []
    installed = loaded_by(f"{made}install()\n")
    assert {name for name in ON_DEMAND if "instrumentation" in name} <= set(installed)
    assert among(installed, ("agent_outcomes.cli", "agent_outcomes.doctor", "agent_outcomes.explain")) == []


def loaded_by(script: str) -> list[str]:
    """The modules that a fresh interpreter has loaded after a script; it must not have printed a word."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{script}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        env={**os.environ, "PYTHONPATH": str(IMPORTED_FROM)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def among(loaded: list[str], packages: tuple[str, ...]) -> list[str]:
    """Those of the modules that are one of the packages or within one."""
    return [name for name in loaded if any(name == one or name.startswith(f"{one}.") for one in packages)]


def _is_bare(member: str, doc: str | None) -> bool:
    return not member.startswith("_") and not doc

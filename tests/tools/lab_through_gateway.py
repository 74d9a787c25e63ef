# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.tools.lab_through_gateway [ENVIRONMENT ...]`: the lab's spans through a real gateway.

The tests of the named environments of `noxfile.py`, or of all, are run as they are, and what each scenario has exported
is sent to one `agent-outcomes serve`, too. In the end its runs are held against what `explain` makes of the same spans,
which the tests themselves hold against what the processor saw (`tests.frameworks.by_spans`, with the reasons).

exit codes: 0 every run is there once and is the same, 1 one is not (told on standard output), or a test failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.frameworks.passing_on import TOLD, URL
from tests.integration.gateway.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPTIONS: Final = ("--settle-after=1", "--idle-after=3", "--otlp-grpc=none")
SETTLED_IN_S: Final = 60.0
FIELDS: Final[Mapping[str, str]] = {
    "agent_name": "gen_ai.agent.name",
    "status": "agent.outcome.status",
    "retryable": "agent.outcome.retryable",
    "error_category": "agent.outcome.error.category",
    "error_type": "error.type",
    "input_tokens": "agent.run.input_tokens",
    "output_tokens": "agent.run.output_tokens",
    "model_calls": "agent.run.model_calls",
    "tool_calls": "agent.run.tool_calls",
}
STATED: Final[Mapping[str, str]] = {
    "type": "agent.outcome.type",
    "label": "agent.outcome.label",
    "currency": "agent.outcome.currency",
}


def differences(run: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    """In what a run of the API is not what the attributes of an event say."""
    outcome = run["outcome"]
    pairs = [(name, run[name], told.get(key)) for name, key in FIELDS.items()]
    pairs += [(name, outcome[name], told.get(key)) for name, key in STATED.items()]
    pairs.append(("problems", sorted(outcome["problems"]), sorted(told.get("agent.outcome.problems", ()))))
    pairs.append(("value", _number(outcome["value"]), _number(told.get("agent.outcome.value"))))
    pairs.append(("cost", _cost_of(outcome), _number(told.get("agent.outcome.cost"))))
    return (f"{name}: {found!r}, by explain {wanted!r}" for name, found, wanted in pairs if found != wanted)


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _cost_of(outcome: Mapping[str, Any]) -> Decimal | None:
    amounts = [Decimal(part["amount"]) for part in outcome["costs"]]
    return sum(amounts, Decimal()) if amounts else None


def main() -> int:
    """Run the tests, wait for the runs, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder), *OPTIONS) as gateway:
        told_path = Path(folder) / "told.jsonl"
        variables = {**os.environ, URL: gateway.otlp_http, TOLD: str(told_path)}
        sessions = [f"frameworks({name})" for name in given.environments] or ["frameworks"]
        tests = subprocess.run((sys.executable, "-m", "nox", "--session", *sessions), env=variables, check=False)
        lines = told_path.read_text(encoding="utf-8").splitlines() if told_path.exists() else []
        told = {event["agent.outcome.id"]: event for event in map(json.loads, lines)}
        gateway.wait_for(lambda: len(gateway.runs()) >= len(told), SETTLED_IN_S)
        return tell({run["outcome_id"]: run for run in gateway.runs()}, told, len(lines)) or int(tests.returncode != 0)


def tell(runs: Mapping[str, Any], told: Mapping[str, Any], count: int) -> int:
    """Print what differs, and how much is the same; the exit code."""
    found = {key: [*differences(runs[key], told[key])] for key in runs.keys() & told.keys()}
    for key, lines in sorted(found.items()):
        for line in lines:
            print(f"{key} {line}")
    missing, surplus = sorted(told.keys() - runs.keys()), sorted(runs.keys() - told.keys())
    for name, keys in (("not there", missing), ("there as well", surplus)):
        for key in keys:
            print(f"{name}: {key} {told.get(key) or runs[key]}")
    statuses = dict(Counter(run["status"] for run in runs.values()))
    differing = sum(map(bool, found.values()))
    print(
        f"told {count}, runs {len(runs)} {statuses}: not there {len(missing)}, there as well {len(surplus)}, ", end=""
    )
    print(f"different {differing}")
    return int(bool(missing or surplus or differing or count != len(told)))


if __name__ == "__main__":
    sys.exit(main())

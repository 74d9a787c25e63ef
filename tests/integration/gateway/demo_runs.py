# SPDX-License-Identifier: Apache-2.0
"""The demo's 1,000 runs as it exported them: to be sent to a gateway, and as facts to hold against what that says."""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
import sys
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

from tests.integration.gateway.served import WAIT_S, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[3]
RUNS: Final = 1_000
IN_FLIGHT: Final = "exception:asyncio.exceptions.CancelledError"
"""What only the process itself can see: the demo's cancelled tasks leave nothing of it on their spans."""
_PREFIX: Final = "agent.outcome."


class Facts(NamedTuple):
    """What is to be known of one run, amounts exact."""

    agent: str
    job_type: str
    status: str
    type: str | None
    success: bool | None
    label: str | None
    value: tuple[Decimal, str] | None
    cost: Decimal | None
    model_calls: int | None
    tool_calls: int | None


def run_demo(folder: Path, *options: str) -> str:
    """Run it, with what it exports in files of the folder; what it printed."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "demo.py"), "--out", str(folder), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def send(folder: Path, signal: str, otlp_http: str) -> None:
    """Send each request of a signal as it was exported, as OTLP/JSON with gzip; each must be taken whole."""
    opener = build_opener(ProxyHandler({}))
    for line in (folder / f"{signal}.json").read_bytes().splitlines():
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        request = Request(f"{otlp_http}/v1/{signal}", gzip.compress(line, 1), headers)  # noqa: S310 - our own
        with opener.open(request, timeout=WAIT_S) as answer:
            assert (answer.status, json.loads(answer.read())) == (200, {})


def exported_facts(folder: Path) -> tuple[dict[str, Facts], set[str]]:
    """The facts of each run by its outcome id, as its event has them, and the runs of which only the process knew."""
    facts: dict[str, Facts] = {}
    in_flight: set[str] = set()
    for attributes in _events(folder):
        identity = attributes[f"{_PREFIX}id"]
        facts[identity] = _facts_of_event(attributes)
        if attributes.get(f"{_PREFIX}evidence") == IN_FLIGHT:
            in_flight.add(identity)
    return facts, in_flight


def facts_of_answer(run: Mapping[str, Any]) -> Facts:
    """The facts of a run as the API tells of it."""
    outcome = run["outcome"]
    value = None if outcome["value"] is None else (Decimal(outcome["value"]), outcome["currency"])
    costs = [Decimal(part["amount"]) for part in outcome["costs"]]
    return Facts(
        run["agent_name"],
        run["job_type"],
        run["status"],
        outcome["type"],
        outcome["success"],
        outcome["label"],
        value,
        sum(costs, Decimal(0)) if costs else None,
        run["model_calls"],
        run["tool_calls"],
    )


def costs(facts: Mapping[str, Facts]) -> dict[str, Decimal]:
    """What the runs of each job type have cost, in dollars, the only currency that the demo pays in."""
    sums: dict[str, Decimal] = {}
    for each in facts.values():
        sums[each.job_type] = sums.get(each.job_type, Decimal(0)) + (each.cost or 0)
    return sums


def page_text(page: str) -> str:
    """What a person reads on a page."""
    without_pictures = re.sub(r"<(svg|script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without_pictures)).split())


def cents(amount: Decimal) -> str:
    """An amount as people read it: to the cent, halves away from zero."""
    return f"{amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def by_status(facts: Mapping[str, Facts]) -> Counter[tuple[str, str]]:
    """How many runs of each agent ended how."""
    return Counter((each.agent, each.status) for each in facts.values())


def values(facts: Mapping[str, Facts]) -> dict[tuple[str, str], Decimal]:
    """What all outcomes of a job type were worth, by currency."""
    sums: dict[tuple[str, str], Decimal] = {}
    for each in facts.values():
        if each.value is not None:
            key = each.job_type, each.value[1]
            sums[key] = sums.get(key, Decimal(0)) + each.value[0]
    return sums


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / "logs.json").read_text().splitlines():
        for resource in json.loads(line)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for record in scope["logRecords"]:
                    if record.get("eventName") == "agent.outcome":
                        yield {pair["key"]: _plain(pair["value"]) for pair in record["attributes"]}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "intValue" else content


def _facts_of_event(attributes: Mapping[str, Any]) -> Facts:
    def get(name: str) -> Any:
        return attributes.get(f"{_PREFIX}{name}")

    value = _amount(attributes, "value")
    return Facts(
        attributes["gen_ai.agent.name"],
        get("job_type"),
        get("status"),
        get("type"),
        get("success"),
        get("label"),
        None if value is None else (value, get("currency")),
        _amount(attributes, "cost"),
        attributes.get("agent.run.model_calls"),
        attributes.get("agent.run.tool_calls"),
    )


def _amount(attributes: Mapping[str, Any], name: str) -> Decimal | None:
    exact = attributes.get(f"{_PREFIX}{name}_decimal")
    if exact is not None:
        return Decimal(exact)
    amount = attributes.get(f"{_PREFIX}{name}")
    return None if amount is None else Decimal(repr(float(amount)))

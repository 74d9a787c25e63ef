# SPDX-License-Identifier: Apache-2.0
"""What a person costs after an escalation, added when it is known: pip install 'otel-agent-outcomes[ledger]'."""

import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import agent_run, install, report_cost

RATE_PER_HOUR = Decimal("54.00")


def ticket_closed(ticket: str, minutes: int) -> str:
    """Called by the help desk when a person closes a ticket that the agent could not."""
    report = report_cost(
        run_id=ticket,
        amount=RATE_PER_HOUR * minutes / 60,
        currency="USD",
        kind="human",
        reported_by="help-desk",
        idempotency_key=f"{ticket}-closed",
    )
    return f"{report.state} as revision {report.revision}{' (again)' if report.repeated else ''}"


def costs_of(ticket: str) -> dict[str, str]:
    """What the ledger says that a run has cost, by kind."""
    command = [sys.executable, "-m", "agent_outcomes", "ledger", "list", "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603
    run = next(row for row in map(json.loads, listed) if row["run_id"] == ticket)
    return {cost["kind"]: f"{cost['amount']} {cost['currency']}" for cost in json.loads(run["costs"])}


def main() -> None:
    """Let the agent escalate a ticket, and a person work on it for 17 minutes."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGENT_OUTCOMES_LEDGER"] = f"sqlite:///{folder}/outcomes.db"
        trace.set_tracer_provider(TracerProvider())
        outcomes = install(ledger_deliver=False)  # in production without this: events and metrics go to your collector
        with agent_run("support-bot", job_type="refund_request", run_id="ticket-4711") as run:
            run.set_outcome(type="escalated", cost="0.0125")
        print("when the run ended:", costs_of("ticket-4711"))
        print("ticket closed:     ", ticket_closed("ticket-4711", minutes=17))
        print("said once more:    ", ticket_closed("ticket-4711", minutes=17))
        print("what it cost:      ", costs_of("ticket-4711"))
        outcomes.shutdown()


main()

# SPDX-License-Identifier: Apache-2.0
"""An agent whose runs are judged later, by a CRM in another process: pip install 'otel-agent-outcomes[ledger]'."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import agent_run, install

WEBHOOK = Path(__file__).with_name("webhook.py")


def answer_to(url: str, deal: dict[str, object]) -> str:
    """Tell the webhook of a deal, as the CRM would days later; what it answers."""
    request = urllib.request.Request(url, json.dumps(deal).encode())  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as refused:
        with refused:
            return f"{refused.status} {refused.read().decode()}"


def main() -> None:
    """Run the agent; then play the CRM."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGENT_OUTCOMES_LEDGER"] = f"sqlite:///{folder}/outcomes.db"
        trace.set_tracer_provider(TracerProvider())
        outcomes = install(ledger_deliver=False)  # in production without this: events and metrics go to your collector
        with agent_run("sales-bot", job_type="inbound_lead", run_id="lead-4711"):
            pass  # write to the lead; whether it converts, nobody knows today
        outcomes.shutdown()
        with subprocess.Popen([sys.executable, str(WEBHOOK)], stdout=subprocess.PIPE, text=True) as webhook:  # noqa: S603
            assert webhook.stdout is not None
            url = webhook.stdout.readline().strip()
            won: dict[str, object] = {"lead": "lead-4711", "won": True, "amount": "1200.00", "event": "evt-1"}
            print("three days later: ", answer_to(url, won))
            print("delivered twice:  ", answer_to(url, won))
            print("not so, after all:", answer_to(url, {"lead": "lead-4711", "won": False, "event": "evt-2"}))
            print("of another lead:  ", answer_to(url, won | {"lead": "lead-9999", "event": "evt-3"}))
            webhook.terminate()


main()

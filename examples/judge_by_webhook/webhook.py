# SPDX-License-Identifier: Apache-2.0
"""What a CRM's webhook does with a deal: it knows the lead's number, and nothing of traces."""

import json
import os
import sys

from agent_outcomes import ReportRefused, report_outcome

GATEWAY = os.environ.get("AGENT_OUTCOMES_GATEWAY", "http://127.0.0.1:8321")


def on_deal(deal: dict[str, str]) -> str:
    """Report it; the event's id makes a repeat safe, and what may pass is left to the CRM to send again."""
    try:
        report = report_outcome(
            run_id=deal["lead"],
            type="converted" if deal["won"] else "unsuccessful",
            value=deal.get("amount"),
            reported_by="crm",
            idempotency_key=deal["event"],
            gateway=GATEWAY,
            retry=False,
        )
    except ReportRefused as refused:
        return f"{'try again' if refused.retryable else 'refused'}: {refused}"
    return f"{report.state} as revision {report.revision}"


print("the webhook:", on_deal(json.load(sys.stdin)))

# SPDX-License-Identifier: Apache-2.0
"""The CRM's webhook: it knows the lead's number, and nothing of traces. AGENT_OUTCOMES_LEDGER says where to report."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from agent_outcomes import ReportRefused, report_outcome


class Webhook(BaseHTTPRequestHandler):
    """Takes what became of a lead."""

    def do_POST(self) -> None:
        """Report it; the event's id makes a repeat safe, and what may pass is left to the CRM to send again."""
        deal = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            report = report_outcome(
                run_id=deal["lead"],
                type="converted" if deal["won"] else "unsuccessful",
                value=deal.get("amount"),
                currency="EUR",
                reported_by="crm",
                idempotency_key=deal["event"],
                retry=False,
            )
            revision = "" if report.revision is None else f" as revision {report.revision}"
            status, text = 200, f"{report.state}{revision}{' (again)' if report.repeated else ''}"
        except ReportRefused as refused:
            status, text = (503 if refused.retryable else 409), f"{refused.code}: {', '.join(refused.fields)}"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
        """Say nothing."""


server = HTTPServer(("127.0.0.1", 0), Webhook)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()

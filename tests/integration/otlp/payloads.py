# SPDX-License-Identifier: Apache-2.0
"""Requests to send."""

from __future__ import annotations

from agent_outcomes.otlp.encoding import (
    encoded_record,
    encoded_resource,
    encoded_scope,
    logs_request,
    resource_logs,
)


def payload(count: int, text: str = "worth 12.50 EUR") -> bytes:
    """A request of so many log records."""
    records = [
        encoded_record(
            trace_id=number + 1,
            span_id=1,
            trace_flags=1,
            timestamp_ns=number,
            observed_ns=number,
            severity=(9, "INFO"),
            body=text,
            attributes={"log.record.uid": f"run-{number}"},
            name="agent.outcome",
        )
        for number in range(count)
    ]
    scope = encoded_scope("agent_outcomes", "1")
    return logs_request([resource_logs(encoded_resource({"service.name": "support"}), scope, records)])

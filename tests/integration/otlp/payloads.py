# SPDX-License-Identifier: Apache-2.0
"""Requests to send, and replies to them."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse

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


def partial(rejected: int, message: str = "") -> bytes:
    """A reply that takes all but so many."""
    success = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    return ExportLogsServiceResponse(partial_success=success).SerializeToString()

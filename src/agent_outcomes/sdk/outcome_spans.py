# SPDX-License-Identifier: Apache-2.0
"""An outcome as a zero-length child span of its run, for trace viewers that show no events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from agent_outcomes._version import __version__
from agent_outcomes.foreign_exceptions import Guard
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.fitting import fit
from agent_outcomes.sdk.health import dropped
from agent_outcomes.sdk.private_api import span_limits
from agent_outcomes.semconv import EVENT_NAME, SCOPE_NAME, DropReason, Signal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.record.record import Event, PlainPosting

_log: Final = LimitedLog(logging.getLogger(__name__))


def emit_span(tracer_provider: TracerProvider | None, event: Event, context: Context) -> list[PlainPosting]:
    """Add the child span; it can only be exported with its trace, so it follows the trace's sampling.

    Returns what is to be counted about it. Never raises but what passes through.
    """
    with _TRACER_GUARD:
        tracer = trace.get_tracer(SCOPE_NAME, __version__, tracer_provider)
        limits = span_limits(tracer)
        attributes, _ = fit(event.attributes, limits.text_length_max, limits.attributes_max)
        span = tracer.start_span(EVENT_NAME, context, attributes=attributes, start_time=event.timestamp_ns)
        span.end(event.timestamp_ns)
        return []
    return [dropped(DropReason.ERROR, Signal.SPAN, 1)]


def _tracer_raised(error: BaseException) -> None:
    _log.warning("tracer_raised", "an outcome span was dropped: the tracer provider raised %r", error)


# What it calls are samplers, processors and exporters of the application.
_TRACER_GUARD: Final = Guard(_tracer_raised)

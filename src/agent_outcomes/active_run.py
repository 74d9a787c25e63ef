# SPDX-License-Identifier: Apache-2.0
"""A run whose span the Python API opened: what the user states about it, and how it ends.

Never raises into the application but what passes through it anyway; a failure of ours is logged at most once a minute.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.classification import SILENT, classify, facts_from_exception
from agent_outcomes.evidence import ENDED_CLEAN
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.model import AgentSpan
from agent_outcomes.otel import SCOPE_NAME
from agent_outcomes.processor import PROCESSORS
from agent_outcomes.semconv import Source, Status
from agent_outcomes.span_attributes import attributes_of_outcome, attributes_of_stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Unpack

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, TracerProvider

    from agent_outcomes.model import Outcome
    from agent_outcomes.processor import AgentOutcomeSpanProcessor
    from agent_outcomes.span_attributes import SpanAttribute
    from agent_outcomes.statement import Stated

_log: Final = LimitedLog(logging.getLogger(__name__))
_current: ContextVar[ActiveRun | None] = ContextVar("agent_outcomes_current_run", default=None)

_INFERRED: Final = (
    semconv.AGENT_OUTCOME_STATUS,
    semconv.AGENT_OUTCOME_SOURCE,
    semconv.AGENT_OUTCOME_EVIDENCE,
)


class ActiveRun:
    """A run in progress, as `with agent_run(...) as run` gives it."""

    def __init__(
        self,
        agent: str,
        stated: Stated,
        *,
        tracer_provider: TracerProvider | None = None,
        context: Context | None = None,
        links: tuple[Link, ...] = (),
        start_ns: int | None = None,
    ) -> None:
        self._outer = _current.get()
        self._start_ns = time.time_ns() if start_ns is None else start_ns
        self._ended = False
        self._attributes: dict[str, SpanAttribute] = {
            "gen_ai.operation.name": "invoke_agent",
            semconv.GEN_AI_AGENT_NAME: agent,
            **attributes_of_stated(stated),
        }
        self._name = f"invoke_agent {agent}"
        tracer = trace.get_tracer(SCOPE_NAME, __version__, tracer_provider)
        self._span: Span = tracer.start_span(
            self._name, context, SpanKind.INTERNAL, dict(self._attributes), links, start_time=self._start_ns
        )
        self._warn_if_unseen()

    @property
    def span(self) -> Span:
        """The run's span; a no-op span if the sampler dropped it."""
        return self._span

    @property
    def trace_id(self) -> str:
        """The run's trace id in hex, by which an outcome can be looked up."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def outcome_id(self) -> str:
        """The id under which the run's outcome is emitted: trace and span id in hex, joined by a dash."""
        return f"{self.trace_id}-{self._span.get_span_context().span_id:016x}"

    @property
    def outermost(self) -> ActiveRun:
        """The run itself, where this is an agent nested in another one's run."""
        return self if self._outer is None or self._outer.has_ended else self._outer.outermost

    @property
    def has_ended(self) -> bool:
        """Whether the run is over."""
        return self._ended

    def set_outcome(self, outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> None:
        """State the outcome, whole or field by field; later calls override the fields they name.

        Sets the canonical `agent.outcome.*` attributes on the run's span. What cannot be taken is listed in the
        event's `agent.outcome.problems`. Raises `TypeError` for an unknown field.
        """
        self.write({**(attributes_of_outcome(outcome) if outcome is not None else {}), **attributes_of_stated(stated)})

    def write(self, attributes: Mapping[str, SpanAttribute]) -> None:
        """Set attributes on the span, and keep them for the case that the sampler dropped it."""
        if self._ended:
            _log.warning("late", "an outcome was stated after its run had ended, and is lost; state it inside the run")
            return
        self._attributes.update(attributes)
        self._span.set_attributes(dict(attributes))

    @contextlib.contextmanager
    def as_current(self) -> Iterator[ActiveRun]:
        """Make the run's span current, and the run the one that `record_outcome` finds, for the block."""
        otel_token = context_api.attach(trace.set_span_in_context(self._span))
        token = _current.set(self)
        try:
            yield self
        finally:
            # A generator may be closed in another context than the one it ran in.
            with contextlib.suppress(ValueError):
                _current.reset(token)
            context_api.detach(otel_token)

    def end(self, error: BaseException | None = None, *, end_ns: int | None = None) -> None:
        """End the run; `error` is what passed through it. A second call does nothing. Never raises."""
        if self._ended:
            return
        try:
            if semconv.AGENT_OUTCOME_STATUS not in self._attributes:
                self._infer(error)
            elif error is not None:
                self._mark_error(error)
            self._ended = True
            end_ns = time.time_ns() if end_ns is None else end_ns
            self._span.end(end_ns)
            if not self._recorded and self._outer is None:
                self._count_unrecorded(end_ns)
        except Exception as failure:  # noqa: BLE001 - outermost edge: the application must not see our failure
            self._ended = True
            _log.warning("end", "the end of an agent run was not recorded: %r", failure)

    @property
    def _recorded(self) -> bool:
        return not isinstance(self._span, trace.NonRecordingSpan)

    def _infer(self, error: BaseException | None) -> None:
        facts = facts_from_exception(error) if error is not None else None
        if error is None or facts is None or not SILENT.isdisjoint(facts.lineages[0]):
            values = (Status.SUCCESS.value, Source.INFERRED.value, ENDED_CLEAN)
            self.write(dict(zip(_INFERRED, values, strict=True)))
            return
        found = classify(facts)
        self._mark_error(error)
        if found.paused:
            return
        values = (found.status.value, Source.INFERRED.value, f"exception:{facts.name}")
        attributes: dict[str, SpanAttribute] = dict(zip(_INFERRED, values, strict=True))
        if semconv.AGENT_OUTCOME_ERROR_CATEGORY not in self._attributes:
            attributes[semconv.AGENT_OUTCOME_ERROR_CATEGORY] = found.category
        if found.retryable is not None and semconv.AGENT_OUTCOME_RETRYABLE not in self._attributes:
            attributes[semconv.AGENT_OUTCOME_RETRYABLE] = found.retryable
        self.write(attributes)

    def _mark_error(self, error: BaseException) -> None:
        """The class only: a message or stack trace may hold what must not leave."""
        facts = facts_from_exception(error)
        if not SILENT.isdisjoint(facts.lineages[0]):
            return
        self.write({semconv.ERROR_TYPE: facts.name or ""})
        if isinstance(error, Exception) and not classify(facts).paused:
            self._span.set_status(SpanStatus(StatusCode.ERROR, facts.name))

    def _warn_if_unseen(self) -> None:
        context = self._span.get_span_context()
        if self._recorded and any(processor.follows(context) for processor in PROCESSORS):
            return
        if not self._recorded and context.is_valid and first_processor() is not None:
            return
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return
        if not context.is_valid:
            message = (
                "an agent run is not recorded: no tracer provider is set. Set one and call agent_outcomes.install()."
            )
        else:
            message = (
                "an agent run has no outcome: no AgentOutcomeSpanProcessor is attached to its tracer provider. "
                "Call agent_outcomes.install()."
            )
        _log.warning("unseen", message)

    def _count_unrecorded(self, end_ns: int) -> None:
        """The sampler dropped the span, so that no processor sees its end: count the run all the same."""
        context = self._span.get_span_context()
        processor = first_processor()
        if processor is None or not context.is_valid:
            return
        attributes: dict[str, Any] = dict(self._attributes)
        processor.record_unrecorded(
            AgentSpan(
                trace_id=context.trace_id,
                span_id=context.span_id,
                trace_flags=int(context.trace_flags),
                name=self._name,
                scope=SCOPE_NAME,
                internal=True,
                start_ns=self._start_ns,
                end_ns=end_ns,
                status_code="unset",
                attributes=attributes,
            ),
            context,
        )


def current_run() -> ActiveRun | None:
    """The innermost run of this context that the Python API opened and that has not ended."""
    run = _current.get()
    return None if run is None or run.has_ended else run


def first_processor() -> AgentOutcomeSpanProcessor | None:
    """A processor that counts, for what no span will bring to it."""
    return next((processor for processor in list(PROCESSORS) if processor.is_enabled), None)

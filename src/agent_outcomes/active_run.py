# SPDX-License-Identifier: Apache-2.0
"""A run whose span the Python API opened: what the user states about it, and how it ends.

Never raises into the application but what passes through it anyway; a failure of ours is logged at most once a minute.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.attachment import outcome_processor
from agent_outcomes.classification import classify, facts_from_exception, is_silent
from agent_outcomes.evidence import ENDED_CLEAN
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.model import AgentSpan
from agent_outcomes.processor import PROCESSORS
from agent_outcomes.semconv import SCOPE_NAME, Source, Status
from agent_outcomes.span_attributes import attributes_of_outcome, attributes_of_stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Unpack

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, TracerProvider

    from agent_outcomes.classification import ErrorFacts
    from agent_outcomes.model import Outcome
    from agent_outcomes.processor import AgentOutcomeSpanProcessor
    from agent_outcomes.span_attributes import SpanAttribute
    from agent_outcomes.stated import Stated

_log: Final = LimitedLog(logging.getLogger(__name__))
# In OpenTelemetry's context and not beside it, so that the run goes wherever the current span goes.
_CURRENT_KEY: Final = context_api.create_key("agent_outcomes_current_run")

_INFERRED: Final = (
    semconv.AGENT_OUTCOME_STATUS,
    semconv.AGENT_OUTCOME_SOURCE,
    semconv.AGENT_OUTCOME_EVIDENCE,
)
_TEXTS: Final = frozenset(
    {
        semconv.AGENT_OUTCOME_ERROR_CATEGORY,
        semconv.ERROR_TYPE,
        semconv.AGENT_OUTCOME_LABEL,
        semconv.AGENT_OUTCOME_MESSAGE,
    }
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
        self._start_ns = time.time_ns() if start_ns is None else start_ns
        self._ended = False
        self._whole: frozenset[str] = frozenset()
        self._attributes: dict[str, SpanAttribute] = {
            "gen_ai.operation.name": "invoke_agent",
            semconv.GEN_AI_AGENT_NAME: agent,
            **attributes_of_stated(stated),
        }
        self._name = f"invoke_agent {agent}"
        self._tracer_provider = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
        tracer = self._tracer_provider.get_tracer(SCOPE_NAME, __version__)
        self._span: Span = tracer.start_span(
            self._name, context, SpanKind.INTERNAL, dict(self._attributes), links, start_time=self._start_ns
        )
        parent = trace.get_current_span(context).get_span_context()
        span_context = self._span.get_span_context()
        # Without an SDK the API hands the parent's span back; its ids are not those of this run.
        self._is_traced = span_context.is_valid and span_context.span_id != parent.span_id
        outer = _run_in(context)
        self._outer = outer if outer is not None and outer.trace_id == self.trace_id else None
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
        return f"{self.trace_id}-{self.span_id:016x}"

    @property
    def span_id(self) -> int:
        """The id of the run's span."""
        return self._span.get_span_context().span_id

    @property
    def is_traced(self) -> bool:
        """Whether the run has ids of its own; not without a tracer provider."""
        return self._is_traced

    @property
    def outer(self) -> ActiveRun | None:
        """The run that this one is nested in."""
        return self._outer

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
        attributes = attributes_of_stated(stated)
        if outcome is not None:
            attributes = {**self._replaced(outcome), **attributes}
        self.write(attributes)

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
        token = context_api.attach(context_api.set_value(_CURRENT_KEY, self, trace.set_span_in_context(self._span)))
        try:
            yield self
        finally:
            context_api.detach(token)

    def end(self, error: BaseException | None = None, *, end_ns: int | None = None) -> None:
        """End the run; `error` is what passed through it. A second call does nothing. Never raises."""
        if self._ended:
            return
        end_ns = time.time_ns() if end_ns is None else end_ns
        try:
            try:
                self._conclude(error)
            finally:
                self._ended = True
                self._span.end(end_ns)
            if not self._recorded and self._outer is None:
                self._count_unrecorded(end_ns)
        except Exception as failure:  # noqa: BLE001 - outermost edge: the application must not see our failure
            _log.warning("end", "the end of an agent run was not recorded: %r", failure)

    @property
    def _recorded(self) -> bool:
        return not isinstance(self._span, trace.NonRecordingSpan)

    def _conclude(self, error: BaseException | None) -> None:
        facts = facts_from_exception(error) if error is not None else None
        if facts is not None and is_silent(facts):
            facts = None
        stated = self._stated()
        if facts is not None:
            self._mark_error(facts, is_failure=isinstance(error, Exception))
        if semconv.AGENT_OUTCOME_STATUS not in stated:
            self._infer(facts, stated)

    def _stated(self) -> Mapping[str, Any]:
        """What is stated on the span by whatever means: `set_attribute` on the current span is as good as ours."""
        return {**self._attributes, **(getattr(self._span, "attributes", None) or {})}

    def _replaced(self, outcome: Outcome) -> dict[str, SpanAttribute]:
        """The attributes of a whole outcome; texts that only an earlier whole one had are blanked."""
        attributes = attributes_of_outcome(outcome)
        stale = self._whole & _TEXTS - attributes.keys()
        self._whole = frozenset(attributes)
        return {**dict.fromkeys(stale, ""), **attributes}

    def _infer(self, facts: ErrorFacts | None, stated: Mapping[str, Any]) -> None:
        if facts is None:
            values = (Status.SUCCESS.value, Source.INFERRED.value, ENDED_CLEAN)
            self.write(dict(zip(_INFERRED, values, strict=True)))
            return
        found = classify(facts)
        if found.paused:
            return
        values = (found.status.value, Source.INFERRED.value, f"exception:{facts.name}")
        attributes: dict[str, SpanAttribute] = dict(zip(_INFERRED, values, strict=True))
        if semconv.AGENT_OUTCOME_ERROR_CATEGORY not in stated:
            attributes[semconv.AGENT_OUTCOME_ERROR_CATEGORY] = found.category
        if found.retryable is not None and semconv.AGENT_OUTCOME_RETRYABLE not in stated:
            attributes[semconv.AGENT_OUTCOME_RETRYABLE] = found.retryable
        self.write(attributes)

    def _mark_error(self, facts: ErrorFacts, *, is_failure: bool) -> None:
        """The class only: a message or stack trace may hold what must not leave."""
        self.write({semconv.ERROR_TYPE: facts.name or ""})
        if is_failure and not classify(facts).paused:
            self._span.set_status(SpanStatus(StatusCode.ERROR, facts.name))

    def _warn_if_unseen(self) -> None:
        context = self._span.get_span_context()
        if self._recorded and any(processor.follows(context) for processor in PROCESSORS.open()):
            return
        if not self._recorded and self._is_traced and _processor_of(self._tracer_provider) is not None:
            return
        if is_sdk_disabled() or _is_shut_down(self._tracer_provider):
            return
        if not self._is_traced:
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
        processor = _processor_of(self._tracer_provider)
        if processor is None or not self._is_traced:
            return
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
                attributes=dict(self._attributes),
            ),
            context,
        )


def is_sdk_disabled() -> bool:
    """Whether telemetry as a whole is switched off, which is no reason to warn of anything."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def current_run() -> ActiveRun | None:
    """The innermost run of this context that the Python API opened and that has not ended."""
    run = _run_in(None)
    return None if run is None or run.has_ended else run


def is_within_run() -> bool:
    """Whether this context is that of a run, even one that has ended by now."""
    return _run_in(None) is not None


def _run_in(context: Context | None) -> ActiveRun | None:
    run = context_api.get_value(_CURRENT_KEY, context)
    return run if isinstance(run, ActiveRun) else None


def first_processor() -> AgentOutcomeSpanProcessor | None:
    """A processor that counts, for what no span will bring to it."""
    return next((processor for processor in PROCESSORS.open() if processor.is_enabled), None)


def _processor_of(provider: TracerProvider) -> AgentOutcomeSpanProcessor | None:
    """The processor that would have seen a span of this provider; there is no public way to ask."""
    active = getattr(provider, "_active_span_processor", None)
    if active is None:
        return first_processor()
    return next((one for one in _flattened(active) if one.is_enabled), None)


def _is_shut_down(provider: TracerProvider) -> bool:
    """Whether the provider has processors of ours that were shut down: those count the run as dropped and say so."""
    active = getattr(provider, "_active_span_processor", None)
    return any(one.is_shut_down for one in _flattened(active))


def _flattened(processor: object) -> Iterator[AgentOutcomeSpanProcessor]:
    found = outcome_processor(processor)
    if found is not None:
        yield found
    for one in getattr(processor, "_span_processors", ()):
        yield from _flattened(one)

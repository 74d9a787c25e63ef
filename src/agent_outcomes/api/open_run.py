# SPDX-License-Identifier: Apache-2.0
"""A run whose span the Python API opened: how it starts, what is stated about it, and how it ends.

Never raises into the application but what passes through it anyway; a failure of ours is logged at most once a minute.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.api.attached import is_followed, processor_behind
from agent_outcomes.api.withdrawn import withdraw_earlier
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX
from agent_outcomes.outcome.classification import UNNAMED_ERROR, classify, is_silent
from agent_outcomes.outcome.errors import OTHER
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.text import encodable, is_a, own_value, short_text
from agent_outcomes.run.model import AgentSpan
from agent_outcomes.semconv import SCOPE_NAME, Source, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Tracer, TracerProvider

    from agent_outcomes.api.attributes import Given, SpanAttribute
    from agent_outcomes.outcome.errors import Classification
    from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor

_log: Final = LimitedLog(logging.getLogger(__name__))
# In OpenTelemetry's context and not beside it, so that the run goes wherever the current span goes.
_CURRENT_KEY: Final = context_api.create_key("agent_outcomes_current_run")
_TRACERS: Final[weakref.WeakKeyDictionary[TracerProvider, Tracer]] = weakref.WeakKeyDictionary()
_TRACERS_MAX: Final = 16

_ENDS_OF_ITERATION: Final = (StopIteration, StopAsyncIteration)
_MARKS: Final = ("gen_ai.operation.name", semconv.GEN_AI_AGENT_NAME)


class OpenRun:
    """A run from its start to its end; `ActiveRun` is what the application sees of it.

    `outer` is the run that this one is nested in, while both go on. What an agent's name cannot be taken from is
    listed by the reader of the span.
    """

    __slots__ = (
        "__weakref__",
        "_attributes",
        "_is_recorded",
        "_name",
        "_process_id",
        "_processor",
        "_start_ns",
        "_token",
        "context",
        "face",
        "has_ended",
        "is_traced",
        "outer",
        "span",
    )

    def __init__(
        self,
        agent: str,
        attributes: Mapping[str, SpanAttribute],
        *,
        tracer_provider: TracerProvider | None = None,
        context: Context | None = None,
        links: tuple[Link, ...] = (),
        start_ns: int | None = None,
    ) -> None:
        self._start_ns = time.time_ns() if start_ns is None else start_ns
        name = agent_name(agent)
        self._name = f"invoke_agent {name}" if isinstance(name, str) else "invoke_agent"
        self._attributes: dict[str, SpanAttribute] = dict(zip(_MARKS, ("invoke_agent", name), strict=True))
        self._attributes.update(attributes)
        self._token: Token[Context] | None = None
        self._processor: AgentOutcomeSpanProcessor | None = None
        self._process_id = os.getpid()
        self.face: weakref.ref[Any] | None = None
        self.has_ended = False
        self.span: Span = trace.INVALID_SPAN
        self.context: SpanContext = trace.INVALID_SPAN_CONTEXT
        self.is_traced = False
        self._is_recorded = False
        with _log.guard("start", "an agent run could not be started, and is not recorded"):
            self._open(tracer_provider, context, links)
        outer = _run_in(context)
        is_nested = outer is not None and not outer.is_over and outer.context.trace_id == self.context.trace_id
        self.outer: OpenRun | None = outer if is_nested else None

    def _open(self, tracer_provider: TracerProvider | None, context: Context | None, links: tuple[Link, ...]) -> None:
        parent = trace.get_current_span(context).get_span_context()
        # What is current meanwhile if the span cannot be made: spans below keep their parent.
        self.span = trace.NonRecordingSpan(parent)
        provider = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
        tracer = _tracer_of(provider)
        span = tracer.start_span(
            self._name, context, SpanKind.INTERNAL, dict(self._attributes), links, start_time=self._start_ns
        )
        self.span, self.context, self._is_recorded = span, span.get_span_context(), span.is_recording()
        # Without an SDK the API hands the parent's span back; its ids are not those of this run.
        self.is_traced = self.context.is_valid and self.context.span_id != parent.span_id
        if self.is_traced and not (self._is_recorded and is_followed(self.context)):
            behind = processor_behind(provider, tracer)
            if not self._is_recorded:
                self._processor = behind
            # One that was shut down counts the run as dropped, and says so.
            if behind is not None and (behind.is_shut_down or not self._is_recorded):
                return
        self._warn_if_unseen()

    @property
    def outcome_id(self) -> str:
        """The id under which the run's outcome is emitted: trace and span id in hex, joined by a dash."""
        return f"{self.context.trace_id:032x}-{self.context.span_id:016x}"

    @property
    def is_over(self) -> bool:
        """Whether nothing can be stated of it any more: it has ended, or is the run of the process that forked this."""
        return self.has_ended or self._process_id != os.getpid()

    @property
    def outermost(self) -> OpenRun:
        """The run itself, where this is an agent nested in another one's run."""
        run = self
        while run.outer is not None and not run.outer.has_ended:
            run = run.outer
        return run

    def state(self, given: Given) -> None:
        """Set what a call has stated on the span; a whole outcome replaces every field of an earlier one."""
        with _log.guard("state", "an outcome was not taken"):
            self._withdraw_earlier(given)
            self._write(given.attributes)

    def _withdraw_earlier(self, given: Given) -> None:
        if not self.has_ended:
            for key in withdraw_earlier(self.span, given):
                self._attributes.pop(key, None)

    def _write(self, attributes: Mapping[str, SpanAttribute]) -> None:
        """Set attributes on the span, and keep them for the case that the sampler dropped it or its limits theirs."""
        if self.is_over:
            where = "after its run had ended" if self.has_ended else "in a process that was forked within its run"
            _log.warning("late", "an outcome was stated %s, and is lost; state it inside the run", where)
            return
        self._attributes.update(attributes)
        self.span.set_attributes(dict(attributes))

    def __enter__(self) -> Self:
        """The run ends with the block, which may be entered once."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the run; the exception, if any, is raised on."""
        self.end(error)

    @contextlib.contextmanager
    def as_current(self) -> Iterator[OpenRun]:
        """Make the run's span current, and the run the one that `record_outcome` finds, for the block."""
        token = self._attach()
        try:
            yield self
        finally:
            context_api.detach(token)

    def body(self) -> GeneratorBody:
        """What is current in the body of a generator that is a run."""
        return GeneratorBody(self._as_context())

    def enter(self) -> None:
        """The same until `leave` is called."""
        self._token = self._attach()

    def leave(self) -> None:
        """Give up being current, unless that is not so here: left in another context than the one entered."""
        token, self._token = self._token, None
        if token is not None and any(run is self for run in runs_around()):
            context_api.detach(token)

    def _attach(self) -> Token[Context]:
        return context_api.attach(self._as_context())

    def _as_context(self) -> Context:
        return context_api.set_value(_CURRENT_KEY, self, trace.set_span_in_context(self.span))

    def end(
        self, error: BaseException | None = None, *, end_ns: int | None = None, may_end_iteration: bool = True
    ) -> None:
        """End the run; `error` is what passed through it. A second call does nothing. Never raises.

        `may_end_iteration` is false where a `StopIteration` cannot be meant as the end of one, and is an error.
        """
        if self.has_ended:
            return
        end_ns = time.time_ns() if end_ns is None else end_ns
        try:
            with _log.guard("conclude", "the end of an agent run was not judged"):
                self._conclude(error, may_end_iteration)
                self._restore()
        finally:
            self.has_ended = True
            with _log.guard("end", "the end of an agent run was not recorded"):
                self.span.end(end_ns)
        if self._processor is not None and self.outer is None and self._process_id == os.getpid():
            self._processor.record_unrecorded(self._as_agent_span(end_ns), self.context)
        # Or a chain of runs that each start the next one would be kept for as long as the last goes on.
        self.outer = None

    def _conclude(self, error: BaseException | None, may_end_iteration: bool) -> None:  # noqa: FBT001 - private
        """Write what the error that passed through says; without one, how the run ended is for the span to say.

        That nothing passed is no evidence of success: code that handles its errors marks the span as failed instead. An
        error of which nothing can be told is a failure all the same.
        """
        if error is None or self.is_over:
            return
        is_judged = False
        try:
            self._judge(error, may_end_iteration)
            is_judged = True
        finally:
            if not is_judged and not self._is_stated(semconv.AGENT_OUTCOME_STATUS):
                self._write({semconv.ERROR_TYPE: UNNAMED_ERROR, **self._explained(OTHER, UNNAMED_ERROR)})

    def _judge(self, error: BaseException, may_end_iteration: bool) -> None:  # noqa: FBT001 - private
        facts = facts_from_exception(error)
        if is_silent(facts) and (may_end_iteration or not isinstance(error, _ENDS_OF_ITERATION)):
            return
        found, name = classify(facts), facts.name or UNNAMED_ERROR
        # The class only: a message or stack trace may hold what must not leave.
        attributes: dict[str, SpanAttribute] = {semconv.ERROR_TYPE: name}
        if not found.paused and not self._is_stated(semconv.AGENT_OUTCOME_STATUS):
            attributes.update(self._explained(found, name))
        self._write(attributes)
        # An interrupt or a cancellation ends more than the run.
        if not found.paused and is_a(error, Exception):
            self.span.set_status(SpanStatus(StatusCode.ERROR, name))

    def _explained(self, found: Classification, name: str) -> dict[str, SpanAttribute]:
        attributes = _inferred(found.status, f"exception:{name}")
        if not self._is_stated(semconv.AGENT_OUTCOME_ERROR_CATEGORY):
            attributes[semconv.AGENT_OUTCOME_ERROR_CATEGORY] = found.category
        if found.retryable is not None and not self._is_stated(semconv.AGENT_OUTCOME_RETRYABLE):
            attributes[semconv.AGENT_OUTCOME_RETRYABLE] = found.retryable
        return attributes

    def _is_stated(self, key: str) -> bool:
        """By whatever means: `set_attribute` on the current span is as good as ours."""
        return key in self._attributes or key in self._on_span()

    def _on_span(self) -> Mapping[str, Any]:
        attributes = getattr(self.span, "attributes", None)
        return attributes if isinstance(attributes, Mapping) else {}

    def _restore(self) -> None:
        """Write again what the span's limit of attributes has cost it: the first go first, and the marks were first."""
        on_span, own = self._on_span(), dict(self._attributes)
        if not on_span or all(key in on_span for key in own):
            return
        # What was set since by other means stands. The marks last, as the newest stay longest: no mark, no run.
        current = {key: on_span.get(key, value) for key, value in own.items()}
        marks = {key: current.pop(key) for key in _MARKS}
        self.span.set_attributes({**current, **marks})

    def _warn_if_unseen(self) -> None:
        if self._processor is not None or is_sdk_disabled() or (self._is_recorded and is_followed(self.context)):
            return
        if not self.is_traced:
            message = (
                "an agent run is not recorded: no tracer provider is set. Set one and call agent_outcomes.install()."
            )
        else:
            message = (
                "an agent run has no outcome: no AgentOutcomeSpanProcessor is attached to its tracer provider. "
                "Call agent_outcomes.install()."
            )
        _log.warning("unseen", message)

    def _as_agent_span(self, end_ns: int) -> AgentSpan:
        """The sampler dropped the span, so that no processor sees its end: the run counts all the same."""
        return AgentSpan(
            trace_id=self.context.trace_id,
            span_id=self.context.span_id,
            trace_flags=int(self.context.trace_flags),
            name=self._name,
            scope=SCOPE_NAME,
            internal=True,
            start_ns=self._start_ns,
            end_ns=end_ns,
            status_code="unset",
            attributes=dict(self._attributes),
        )


class GeneratorBody:
    """What is current in a generator's body, from one of its steps to the next.

    At first that is its run; then what the body has made current itself and not given up, such as a span around a
    `yield`. Between two items the consumer's own context is in force.
    """

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    @contextlib.contextmanager
    def as_current(self) -> Iterator[None]:
        """Make it current for one step of the body."""
        token = context_api.attach(self._context)
        try:
            yield
        finally:
            self._context = context_api.get_current()
            context_api.detach(token)


def is_sdk_disabled() -> bool:
    """Whether telemetry as a whole is switched off, which is no reason to warn of anything."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def current_run() -> OpenRun | None:
    """The innermost run of this context that the Python API opened and that has not ended."""
    run = _run_in(None)
    return None if run is None or run.is_over else run


def run_of_trace() -> OpenRun | None:
    """The run of this context, even one that has ended by now, if what starts here is in its trace."""
    run, current = _run_in(None), trace.get_current_span().get_span_context()
    return run if run is not None and run.context.trace_id == current.trace_id else None


def runs_around() -> Iterator[OpenRun]:
    """The run of this context, even one that has ended by now, and those around it that go on."""
    run = _run_in(None)
    while run is not None:
        yield run
        run = run.outer


def apart() -> tuple[Context, tuple[Link, ...]]:
    """A trace of its own for what starts here, linked to the current span; all else in the context stays."""
    link = trace.Link(trace.get_current_span().get_span_context())
    return trace.set_span_in_context(trace.INVALID_SPAN), (link,)


def agent_name(agent: object) -> SpanAttribute:
    """An agent's name as an attribute; what is no text becomes one that its reader refuses and lists. Never raises."""
    name = own_value(agent)
    return encodable(name, LABEL_LENGTH_MAX + 1) if isinstance(name, str) else (short_text(name),)


def _run_in(context: Context | None) -> OpenRun | None:
    run = context_api.get_value(_CURRENT_KEY, context)
    return run if isinstance(run, OpenRun) else None


def _tracer_of(provider: TracerProvider) -> Tracer:
    try:
        found = _TRACERS.get(provider)
        if found is None:
            # A tracer that holds on to its provider keeps the entry.
            if len(_TRACERS) >= _TRACERS_MAX:
                _TRACERS.clear()
            found = _TRACERS[provider] = provider.get_tracer(SCOPE_NAME, __version__)
    except TypeError:
        # A provider of a class of its own that cannot be a key.
        return provider.get_tracer(SCOPE_NAME, __version__)
    return found


def _inferred(status: Status, evidence: str) -> dict[str, SpanAttribute]:
    return {
        semconv.AGENT_OUTCOME_STATUS: status.value,
        semconv.AGENT_OUTCOME_SOURCE: Source.INFERRED.value,
        semconv.AGENT_OUTCOME_EVIDENCE: evidence,
    }

# SPDX-License-Identifier: Apache-2.0
"""The Python API for those who can touch the agent: `agent_run`, `record_outcome`, `set_outcome`, `record_run`."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Link

from agent_outcomes.active_run import ActiveRun, current_run, first_processor, is_within_run
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.processor import PROCESSORS
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.span_attributes import attributes_of_outcome, attributes_of_stated
from agent_outcomes.stated import Stated

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Unpack

    from opentelemetry.trace import Span, TracerProvider

    from agent_outcomes.model import Outcome

F = TypeVar("F", bound=Callable[..., Any])

_log: Final = LimitedLog(logging.getLogger(__name__))


class agent_run:  # noqa: N801 - used like a function, as contextlib's classes are
    """A run of an agent, as a `with` (or `async with`) block or as a decorator.

    Opens a span `invoke_agent {agent}` with `gen_ai.operation.name`, `gen_ai.agent.name` and what is stated in the
    keyword arguments (`job_type`, `run_id`, ...). An exception that passes through is classified by the retryability
    table, written to the span by its class alone, and raised on. A run whose span the sampler dropped counts as well.

    As a decorator it keeps the function's signature and works on functions, coroutine functions and generators of
    both kinds; the run of a generator lasts until it is exhausted or closed. `outcome` is given the result (of a
    generator: its return value) and says what the outcome is, `None` for nothing; an error in it is logged.
    Raises `TypeError` for an unknown field, and where it is put above a function without the agent's name.
    """

    def __init__(
        self,
        agent: str,
        *,
        outcome: Callable[[Any], Outcome | None] | None = None,
        tracer_provider: TracerProvider | None = None,
        **stated: Unpack[Stated],
    ) -> None:
        if callable(agent):
            message = '@agent_run needs the agent\'s name: write @agent_run("my-agent") above the function'
            raise TypeError(message)
        attributes_of_stated(stated)
        self._agent = agent
        self._outcome = outcome
        self._tracer_provider = tracer_provider
        self._stated = stated
        self._entered: dict[ActiveRun, AbstractContextManager[ActiveRun]] = {}

    def __enter__(self) -> ActiveRun:
        """Start the run and make it current."""
        run = self._start()
        block = run.as_current()
        block.__enter__()
        self._entered[run] = block
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        """End the run; the exception, if any, is raised on."""
        run = current_run()
        if run is None or run not in self._entered:
            # Left in another context than the one entered: the last one in is the best guess.
            run = next(reversed(self._entered))
        self._entered.pop(run).__exit__(None, None, None)
        run.end(error)

    async def __aenter__(self) -> ActiveRun:
        """Start the run and make it current."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        """End the run; the exception, if any, is raised on."""
        self.__exit__(kind, error, trace_back)

    def __call__(self, function: F) -> F:
        """Make every call of the function a run of its own."""
        if inspect.isasyncgenfunction(function):
            wrapped: Callable[..., Any] = self._wrap_async_generator(function)
        elif inspect.isgeneratorfunction(function):
            wrapped = self._wrap_generator(function)
        elif inspect.iscoroutinefunction(function):
            wrapped = self._wrap_coroutine(function)
        else:
            wrapped = self._wrap_function(function)
        return cast("F", functools.wraps(function)(wrapped))

    def _start(self) -> ActiveRun:
        return ActiveRun(self._agent, self._stated, tracer_provider=self._tracer_provider)

    def _conclude(self, run: ActiveRun, result: object) -> None:
        if self._outcome is None:
            return
        try:
            outcome = self._outcome(result)
            if outcome is not None:
                run.set_outcome(outcome)
        except Exception as error:  # noqa: BLE001 - the user's function must not cost them the result
            _log.warning("predicate", "the outcome= function of agent_run(%r) raised %r", self._agent, error)

    def _wrap_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            run = self._start()
            try:
                with run.as_current():
                    result = function(*args, **kwargs)
                self._conclude(run, result)
            except BaseException as error:
                run.end(error)
                raise
            run.end()
            return result

        return wrapper

    def _wrap_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            run = self._start()
            try:
                with run.as_current():
                    result = await function(*args, **kwargs)
                self._conclude(run, result)
            except BaseException as error:
                run.end(error)
                raise
            run.end()
            return result

        return wrapper

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            run = self._start()
            resume: Callable[[], Any] = functools.partial(next, generator)
            try:
                while True:
                    # Current only while the body runs: between two items the consumer's own context is in force.
                    with run.as_current():
                        item = resume()
                    try:
                        resume = functools.partial(generator.send, (yield item))
                    except GeneratorExit:
                        with run.as_current():
                            generator.close()
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, for the body to see
                        resume = functools.partial(generator.throw, error)
            except StopIteration as stop:
                self._conclude(run, stop.value)
                return stop.value
            except BaseException as error:
                run.end(error)
                raise
            finally:
                run.end()

        return wrapper

    def _wrap_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            generator = function(*args, **kwargs)
            run = self._start()
            resume: Callable[[], Any] = functools.partial(anext, generator)
            try:
                while True:
                    with run.as_current():
                        item = await resume()
                    try:
                        resume = functools.partial(generator.asend, (yield item))
                    except GeneratorExit:
                        with run.as_current():
                            await generator.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, for the body to see
                        resume = functools.partial(generator.athrow, error)
            except StopAsyncIteration:
                self._conclude(run, None)
            except BaseException as error:
                run.end(error)
                raise
            finally:
                run.end()

        return wrapper


def record_outcome(outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> bool:
    """State the outcome of the current run from anywhere below it.

    Finds the run that `agent_run` opened around this code, else the outermost open agent span above the current
    span, and sets the canonical `agent.outcome.*` attributes on it. Returns whether there was one; if not, it logs
    a warning and counts the problem `no_current_run`. Raises nothing but `TypeError` for an unknown field.
    """
    attributes = _attributes(outcome, stated)
    try:
        run = current_run()
        span = _find_run_span()
        # An agent that plain OpenTelemetry code opened may be above the one that `agent_run` did.
        if run is not None and (span is None or span.get_span_context().span_id == run.outermost.span_id):
            run.outermost.set_outcome(outcome, **stated)
            return True
        if span is not None:
            span.set_attributes(attributes)
            return True
        processor = first_processor()
        if processor is not None:
            processor.note_problem(ProblemKind.NO_CURRENT_RUN)
        else:
            _log.warning("no_processor", "record_outcome() has no effect: call agent_outcomes.install() first")
    except Exception as error:  # noqa: BLE001 - outermost edge: the application must not see our failure
        _log.warning("record_outcome", "record_outcome() failed: %r", error)
    return False


def set_outcome(span: Span, outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> None:
    """State an outcome on a span you hold, as canonical `agent.outcome.*` attributes.

    Raises nothing but `TypeError` for an unknown field; on a span that has ended or was not sampled it logs a warning.
    """
    attributes = _attributes(outcome, stated)
    run = _run_of(span)
    if run is not None:
        run.set_outcome(outcome, **stated)
        return
    if not span.is_recording():
        _log.warning("not_recording", "set_outcome() has no effect: the span has ended or was not sampled")
        return
    span.set_attributes(attributes)


def record_run(
    agent: str,
    outcome: Outcome | None = None,
    *,
    duration_s: float | None = None,
    error: BaseException | None = None,
    tracer_provider: TracerProvider | None = None,
    **stated: Unpack[Stated],
) -> str | None:
    """Record a run that is over, in one call: a span `invoke_agent {agent}` of that duration, ending now.

    Inside another run it starts a trace of its own, linked to the current span, so that it is counted as a run.
    Returns the outcome's id (trace and span id in hex), or `None` without a tracer provider. Raises nothing but
    `TypeError` for an unknown field.
    """
    attributes = _attributes(outcome, stated)
    end_ns = time.time_ns()
    start_ns = end_ns - _duration_ns(duration_s, longest_ns=end_ns)
    context, links = _apart_from_other_runs()
    run = ActiveRun(agent, Stated(), tracer_provider=tracer_provider, context=context, links=links, start_ns=start_ns)
    run.write(attributes)
    run.end(error, end_ns=end_ns)
    return run.outcome_id if run.is_traced else None


def _attributes(outcome: Outcome | None, stated: Stated) -> dict[str, Any]:
    return {**(attributes_of_outcome(outcome) if outcome is not None else {}), **attributes_of_stated(stated)}


def _duration_ns(duration_s: float | None, *, longest_ns: int) -> int:
    if duration_s is None:
        return 0
    try:
        duration_ns = round(float(duration_s) * 1e9)
        if 0 <= duration_ns < longest_ns:
            return duration_ns
    except (TypeError, ValueError, OverflowError):
        pass
    _log.warning("duration", "record_run() was given a duration_s that cannot be used: %.80r", duration_s)
    return 0


def _run_of(span: Span) -> ActiveRun | None:
    run = current_run()
    while run is not None and run.span is not span:
        run = run.outer
    return run


def _find_run_span() -> SdkSpan | None:
    context = trace.get_current_span().get_span_context()
    for processor in PROCESSORS.open():
        span = processor.find_run_span(context)
        if isinstance(span, SdkSpan):
            return span
    return None


def _apart_from_other_runs() -> tuple[Context | None, tuple[Link, ...]]:
    if not is_within_run() and _find_run_span() is None:
        return None, ()
    return Context(), (Link(trace.get_current_span().get_span_context()),)

# SPDX-License-Identifier: Apache-2.0
"""The Python API for those who can touch the agent: `agent_run`, `record_outcome`, `set_outcome`, `record_run`.

A value that cannot be taken is refused and listed with the outcome, or logged where there is none. A call that cannot
be meant (an unknown keyword, something else than an `Outcome`) is a `TypeError` that says what to write, raised before
anything is done. Nothing else is raised.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link

from agent_outcomes import misuse
from agent_outcomes.active_run import ActiveRun, active_run
from agent_outcomes.attached import current_run_span, first_processor
from agent_outcomes.classification import look
from agent_outcomes.following import follow, wrap_async_generator, wrap_awaited, wrap_generator
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.model import Outcome
from agent_outcomes.open_run import OpenRun, agent_name, current_run, is_within_run, runs_around
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.span_attributes import Given, read_given
from agent_outcomes.texts import is_a, own_value

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from opentelemetry.trace import Span, TracerProvider

    from agent_outcomes.stated import Stated

F = TypeVar("F", bound=Callable[..., Any])

_log: Final = LimitedLog(logging.getLogger(__name__))


class agent_run:  # noqa: N801 - used like a function, as contextlib's classes are
    """A run of an agent, as a `with` (or `async with`) block or as a decorator.

    Opens a span `invoke_agent {agent}` with `gen_ai.operation.name`, `gen_ai.agent.name` and what is stated in the
    keyword arguments (`job_type`, `run_id`, ...). An exception that passes through is classified by the retryability
    table, written to the span by its class alone, and raised on. A run whose span the sampler dropped counts as well.
    Inside another run it is an agent called by that one: no run of its own, its outcome its own (see `record_outcome`).

    As a decorator it keeps the function's signature and works on functions, coroutine functions and generators of
    both kinds; a run lasts until the generator is exhausted or closed, and until what a function returned has been
    awaited. `outcome_of` is given the result (of a generator: its return value) and says what the outcome is, `None`
    for nothing; an error in it is logged by its class.

    Raises `TypeError` for an unknown keyword, for a `tracer_provider` that is none, and where it is put above a
    function without the agent's name; `RuntimeError` for a block that is left without having been entered.
    """

    def __init__(
        self,
        agent: str,
        *,
        outcome_of: Callable[[Any], Outcome | None] | None = None,
        tracer_provider: TracerProvider | None = None,
        **stated: Unpack[Stated],
    ) -> None:
        if callable(agent):
            message = '@agent_run needs the agent\'s name: write @agent_run("my-agent") above the function'
            raise TypeError(message)
        if "outcome" in cast("Mapping[str, object]", stated):
            message = (
                "agent_run() has no outcome=; write outcome_of= for a function of the result, and "
                "run.set_outcome(...) or status=, label=, ... for what is known already"
            )
            raise TypeError(message)
        if outcome_of is not None:
            _check_callable("agent_run(outcome_of=) takes a function of the result", outcome_of)
        _check_provider("agent_run", tracer_provider)
        self._agent = agent
        self._outcome_of = outcome_of
        self._tracer_provider = tracer_provider
        self._attributes = read_given("agent_run", None, stated).fields
        # The blocks that are open, and the thread that entered each.
        self._entered: dict[OpenRun, int] = {}

    def __enter__(self) -> ActiveRun:
        """Start the run and make it current."""
        run = self._start()
        run.enter()
        self._entered[run] = threading.get_ident()
        return active_run(run)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        """End the run; the exception, if any, is raised on. Raises `RuntimeError` if there is no run to end."""
        run = self._entered_last()
        if run is not None:
            run.leave()
            run.end(error)
        elif error is None:
            message = "a block of agent_run() was left that had not been entered: write `with agent_run(...) as run:`"
            raise RuntimeError(message)

    async def __aenter__(self) -> ActiveRun:
        """Start the run and make it current."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        """End the run; the exception, if any, is raised on."""
        self.__exit__(kind, error, trace_back)

    def __call__(self, function: F) -> F:
        """Make every call of the function a run of its own. Raises `TypeError` for what cannot be called."""
        _check_callable("@agent_run(...) goes above a function and below @classmethod", function)
        if inspect.isasyncgenfunction(function):
            wrapped = wrap_async_generator(function, self._start, self._conclude)
        elif inspect.isgeneratorfunction(function):
            wrapped = wrap_generator(function, self._start, self._conclude)
        elif inspect.iscoroutinefunction(function):
            wrapped = wrap_awaited(function, self._start, self._conclude)
        else:
            wrapped = self._wrap_function(function)
        return cast("F", functools.wraps(function)(wrapped))

    def _start(self) -> OpenRun:
        return OpenRun(self._agent, self._attributes, tracer_provider=self._tracer_provider)

    def _entered_last(self) -> OpenRun | None:
        """The block to leave, and no longer open.

        It is that of this context. One left in another context than the one entered is, as the best guess, the last
        one of this thread, or else of any.
        """
        run = next((one for one in runs_around() if one in self._entered), None)
        if run is None:
            here, entered = threading.get_ident(), list(self._entered.items())
            run = next((one for one, thread in reversed(entered) if thread == here), None)
            run = entered[-1][0] if run is None and entered else run
        if run is not None:
            self._entered.pop(run, None)
        return run

    def _conclude(self, run: OpenRun, result: object) -> None:
        if self._outcome_of is None:
            return
        said = f"the outcome_of= function of agent_run({agent_name(self._agent)!r})"
        try:
            outcome = self._outcome_of(result)
        except Exception as error:  # noqa: BLE001 - the user's function must not cost them the result
            _log.warning("outcome_of", "%s raised %s", said, type(error).__qualname__)
            return
        if outcome is not None and not is_a(outcome, Outcome):
            _log.warning("outcome_of", "%s %s", said, misuse.no_result(outcome))
            return
        try:
            run.state(read_given("agent_run", outcome, {}))
        except TypeError as error:
            # Our own text, which quotes no value.
            _log.warning("outcome_of", "%s: %s", said, error)

    def _wrap_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            run = self._start()
            try:
                with run.as_current():
                    result = function(*args, **kwargs)
                followed = self._follow(run, result)
                if followed is not None:
                    return followed
                self._conclude(run, result)
            except BaseException as error:
                run.end(error)
                raise
            run.end()
            return result

        return wrapper

    def _follow(self, run: OpenRun, result: object) -> object:
        with _log.guard("follow", "what a decorated function returned is not followed, and its run is over"):
            return follow(run, result, self._conclude)
        return None


def record_outcome(outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> bool:
    """State the outcome of the run that this code is part of, from anywhere below it.

    That is the run as a whole: the outermost open agent span above the current span, whoever opened it, be it
    `agent_run` or an instrumentation. Within a nested `agent_run` it is still the outer one's; the nested agent's own
    outcome is stated with `run.set_outcome`. Sets the canonical `agent.outcome.*` attributes. Returns whether there was
    a run; if not, it logs a warning and counts the problem `no_current_run`. Raises `TypeError` for an unknown keyword
    and for what is no `Outcome`, and nothing else; a failure of ours is logged.
    """
    given = read_given("record_outcome", outcome, stated)
    with _log.guard("record_outcome", "record_outcome() failed"):
        return _state_current(given)
    return False


def set_outcome(span: Span, outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> None:
    """State the outcome of the agent whose span you hold, as canonical `agent.outcome.*` attributes of that span.

    For the run around this code there is `record_outcome`. Raises `TypeError` for an unknown keyword and for what is no
    span or no `Outcome`, and nothing else; on a span that has ended or was not sampled it logs a warning.
    """
    given = read_given("set_outcome", outcome, stated)
    if not callable(look(span, "set_attributes")) or not callable(look(span, "is_recording")):
        message = (
            f"set_outcome() takes a span first, not {misuse.type_name(span)}; for the run around this code write "
            "record_outcome(...)"
        )
        raise TypeError(message)
    with _log.guard("set_outcome", "set_outcome() failed"):
        run = next((run for run in runs_around() if run.span is span), None)
        if run is not None and not run.has_ended:
            run.state(given)
        elif span.is_recording():
            span.set_attributes(given.attributes)
        else:
            _log.warning("not_recording", "set_outcome() has no effect: the span has ended or was not sampled")


def record_run(
    agent: str,
    outcome: Outcome | None = None,
    *,
    duration_s: float | None = None,
    error: BaseException | None = None,
    tracer_provider: TracerProvider | None = None,
    **stated: Unpack[Stated],
) -> str | None:
    """Record a run that is over, in one call: a span `invoke_agent {agent}` of that duration in seconds, ending now.

    Inside another run it starts a trace of its own, linked to the current span, so that it is counted as a run.
    Returns the outcome's id (trace and span id in hex), or `None` without a tracer provider. A duration that is none is
    logged and taken as 0. Raises `TypeError` for an unknown keyword and for what is no `Outcome` or no tracer provider,
    and nothing else; a failure of ours is logged.
    """
    _check_provider("record_run", tracer_provider)
    given = read_given("record_run", outcome, stated)
    with _log.guard("record_run", "record_run() failed"):
        end_ns = time.time_ns()
        start_ns = end_ns - _duration_ns(duration_s, longest_ns=end_ns)
        context, links = _apart_from_other_runs()
        run = OpenRun(
            agent, given.attributes, tracer_provider=tracer_provider, context=context, links=links, start_ns=start_ns
        )
        run.end(error, end_ns=end_ns)
        return run.outcome_id if run.is_traced else None
    return None


def _state_current(given: Given) -> bool:
    run = current_run()
    span = current_run_span()
    # An agent that plain OpenTelemetry code opened may be above the one that `agent_run` did.
    if run is not None and (span is None or span.get_span_context().span_id == run.outermost.context.span_id):
        run.outermost.state(given)
        return True
    if span is not None:
        span.set_attributes(given.attributes)
        return True
    processor = first_processor()
    if processor is not None:
        processor.note_problem(ProblemKind.NO_CURRENT_RUN)
    else:
        _log.warning("no_processor", "record_outcome() has no effect: call agent_outcomes.install() first")
    return False


def _check_provider(call: str, provider: object) -> None:
    if provider is not None and not callable(look(provider, "get_tracer")):
        raise misuse.no_provider(call, provider)


def _check_callable(rule: str, given: object) -> None:
    if not callable(given):
        message = f"{rule}, not {misuse.type_name(given)}"
        raise TypeError(message)


def _duration_ns(duration_s: object, *, longest_ns: int) -> int:
    if duration_s is None:
        return 0
    try:
        duration_ns = round(float(cast("float", own_value(duration_s))) * 1e9)
    except Exception:  # noqa: BLE001 - a number of a foreign class may raise anything
        duration_ns = -1
    if 0 <= duration_ns < longest_ns:
        return duration_ns
    kind = misuse.type_name(duration_s)
    _log.warning("duration", "record_run() was given a duration_s that cannot be used, of type %s", kind)
    return 0


def _apart_from_other_runs() -> tuple[Context | None, tuple[Link, ...]]:
    if not is_within_run() and current_run_span() is None:
        return None, ()
    return Context(), (Link(trace.get_current_span().get_span_context()),)

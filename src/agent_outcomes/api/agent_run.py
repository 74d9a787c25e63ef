# SPDX-License-Identifier: Apache-2.0
"""`agent_run`: a run of an agent as a block or as a decorator."""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from agent_outcomes.api.active_run import ActiveRun, active_run
from agent_outcomes.api.attached import current_run_span
from agent_outcomes.api.attributes import read_given
from agent_outcomes.api.following import follow, wrap_async_generator, wrap_awaited, wrap_generator
from agent_outcomes.api.open_run import OpenRun, agent_name, apart, run_of_trace, runs_around
from agent_outcomes.api.record import check_provider
from agent_outcomes.foreign_exceptions import class_name, is_theirs_in_given
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.outcome import misuse
from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.outcome.text import is_a

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, TracerProvider

    from agent_outcomes.outcome.keywords import Stated

F = TypeVar("F", bound=Callable[..., Any])

_log: Final = LimitedLog(logging.getLogger(__name__))
# The methods by which iterators and generators of a class of one's own are run, and say that they have ended.
_ITERATION_STEPS: Final = ("__next__", "send", "throw", "__anext__", "asend", "athrow")


class agent_run:  # noqa: N801 - used like a function, as contextlib's classes are
    """A run of an agent, as a `with` (or `async with`) block or as a decorator.

    Opens a span `invoke_agent {agent}` with `gen_ai.operation.name`, `gen_ai.agent.name` and what is stated in the
    keyword arguments (`job_type`, `run_id`, ...). An exception that passes through is classified by the retryability
    table, written to the span by its class alone, and raised on; if none does, the status is inferred from the span as
    that of any other agent. A run whose span the sampler dropped counts as well. Inside another run it is an agent
    called by that one: no run of its own, its outcome its own (see `record_outcome`). Where that run is over by then,
    as in a worker that was started within it, it is a run, in a trace of its own that is linked to that one's.

    As a decorator it keeps the function's signature and works on functions, coroutine functions and generators of
    both kinds; a run lasts until the generator is exhausted or closed, and until what a function returned has been
    awaited. `outcome_of` is given the result (of a generator: its return value) and says what the outcome is, `None`
    for nothing; an error in it is logged by its class.

    Raises `TypeError` for an unknown keyword, for a `tracer_provider` that is none, and where it is put above a class,
    or above a function without the agent's name; `RuntimeError` for a block that is left without having been entered.
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
        check_provider("agent_run", tracer_provider)
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
        """Make every call of the function a run of its own. Raises `TypeError` for a class, and what is not called."""
        _check_no_class(function)
        kind = "staticmethod" if is_a(function, staticmethod) else "classmethod"
        _check_callable(f"@agent_run(...) goes above a function and below @{kind}", function)
        if inspect.isasyncgenfunction(function):
            wrapped = wrap_async_generator(function, self._start, self._conclude)
        elif inspect.isgeneratorfunction(function):
            wrapped = wrap_generator(function, self._start, self._conclude)
        elif inspect.iscoroutinefunction(function):
            wrapped = wrap_awaited(function, self._start, self._conclude, may_end_iteration=_is_step(function))
        else:
            wrapped = self._wrap_function(function)
        return cast("F", functools.wraps(function)(wrapped))

    def _start(self) -> OpenRun:
        context, links = _place()
        return OpenRun(
            self._agent, self._attributes, tracer_provider=self._tracer_provider, context=context, links=links
        )

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
        except Exception as error:  # the user's function must not cost them the result
            if is_theirs_in_given(error):
                raise
            _log.warning("outcome_of", "%s raised %s", said, class_name(type(error)))
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
        is_step = _is_step(function)

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
                run.end(error, may_end_iteration=is_step)
                raise
            run.end()
            return result

        return wrapper

    def _follow(self, run: OpenRun, result: object) -> object:
        with _log.guard("follow", "what a decorated function returned is not followed, and its run is over"):
            return follow(run, result, self._conclude)
        return None


def _place() -> tuple[Context | None, tuple[Link, ...]]:
    """Where a run starts: where it is, or apart from a run that is over, unless an agent further up goes on.

    A worker, a server or a task that was started within a run has its context for as long as it goes on.
    """
    with _log.guard("place", "an agent run starts in the trace of one that has ended"):
        around = run_of_trace()
        if around is not None and around.has_ended and current_run_span() is None:
            return apart()
    return None, ()


def _is_step(function: Callable[..., Any]) -> bool:
    """Whether it may end an iteration; out of any other function a `StopIteration` is the `next(...)` of nothing."""
    return look(function, "__name__") in _ITERATION_STEPS


def _check_no_class(given: object) -> None:
    # What it would be in its place is no class any more: nothing could be derived from it, nor be one of its kind.
    if is_a(given, type):
        message = (
            f"@agent_run(...) goes above a function, not {misuse.type_name(given)}; "
            "write it above the method that is the run"
        )
        raise TypeError(message)


def _check_callable(rule: str, given: object) -> None:
    # A static method can be called; wrapped it would be bound, as any other function of its class is.
    if not callable(given) or is_a(given, staticmethod):
        message = f"{rule}, not {misuse.type_name(given)}"
        raise TypeError(message)

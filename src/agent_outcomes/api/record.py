# SPDX-License-Identifier: Apache-2.0
"""`record_outcome`, `set_outcome`, `record_run`: outcomes stated where no block is at hand."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, cast

from agent_outcomes.api.attached import current_run_span, first_processor
from agent_outcomes.api.attributes import Given, read_given
from agent_outcomes.api.open_run import OpenRun, apart, current_run, run_of_trace, runs_around
from agent_outcomes.api.withdrawn import withdraw_earlier
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.outcome import misuse
from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.text import asked, is_a, own_value
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from typing import Unpack

    from opentelemetry.trace import Span, TracerProvider

    from agent_outcomes.outcome.keywords import Stated
    from agent_outcomes.outcome.model import Outcome

_log: Final = LimitedLog(logging.getLogger(__name__))


def record_outcome(outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> bool:
    """State the outcome of the run that this code is part of, from anywhere below it.

    That is the run as a whole: the outermost open agent span above the current span, whoever opened it, be it
    `agent_run` or an instrumentation. Later calls override the fields they name; a whole outcome replaces every field
    of one stated before. Within a nested `agent_run` it is still the outer one's; the nested agent's own outcome is
    stated with `run.set_outcome`. Sets the canonical `agent.outcome.*` attributes. Returns whether there was a run; if
    not, it logs a warning and counts the problem `no_current_run`. Raises `TypeError` for an unknown keyword and for
    what is no `Outcome`, and nothing else; a failure of ours is logged.
    """
    given = read_given("record_outcome", outcome, stated)
    with _log.guard("record_outcome", "record_outcome() failed"):
        return _state_current(given)
    return False


def set_outcome(span: Span, outcome: Outcome | None = None, /, **stated: Unpack[Stated]) -> None:
    """State the outcome of the agent whose span you hold, as canonical `agent.outcome.*` attributes of that span.

    Later calls override the fields they name; a whole outcome replaces every field of one stated before.
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
            _state_on(span, given)
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
    logged and taken as 0. Raises `TypeError` for an unknown keyword and for what is no `Outcome`, no exception or no
    tracer provider, and nothing else; a failure of ours is logged.
    """
    check_provider("record_run", tracer_provider)
    if error is not None and not is_a(error, BaseException):
        hint = '; for a text write record_run(agent, Outcome.failure("..."))'
        raise misuse.no_exception(error, "record_run(error=)", hint)
    given = read_given("record_run", outcome, stated)
    with _log.guard("record_run", "record_run() failed"):
        end_ns = time.time_ns()
        start_ns = end_ns - _duration_ns(duration_s, longest_ns=end_ns)
        is_within = run_of_trace() is not None or current_run_span() is not None
        context, links = apart() if is_within else (None, ())
        run = OpenRun(
            agent, given.attributes, tracer_provider=tracer_provider, context=context, links=links, start_ns=start_ns
        )
        run.end(error, end_ns=end_ns, may_end_iteration=False)
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
        _state_on(span, given)
        return True
    processor = first_processor()
    if processor is not None:
        processor.note_problem(ProblemKind.NO_CURRENT_RUN)
    else:
        _log.warning("no_processor", "record_outcome() has no effect: call agent_outcomes.install() first")
    return False


def _state_on(span: Span, given: Given) -> None:
    withdraw_earlier(span, given)
    span.set_attributes(given.attributes)


def check_provider(call: str, provider: object) -> None:
    """Raise `TypeError` for a tracer provider that gives no tracers."""
    if provider is not None and not callable(look(provider, "get_tracer")):
        raise misuse.no_provider(call, provider)


def _duration_ns(duration_s: object, *, longest_ns: int) -> int:
    if duration_s is None:
        return 0
    # A number of a foreign class may raise anything.
    duration_ns = asked(lambda: round(float(cast("float", own_value(duration_s))) * 1e9))
    if duration_ns is not None and 0 <= duration_ns < longest_ns:
        return duration_ns
    kind = misuse.type_name(duration_s)
    _log.warning("duration", "record_run() was given a duration_s that cannot be used, of type %s", kind)
    return 0

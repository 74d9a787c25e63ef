# SPDX-License-Identifier: Apache-2.0
"""What type checkers must accept and refuse of the public API; checked by mypy and pyright, never run.

A line that must be refused carries an ignore, which is itself an error once the line is accepted.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Unpack, assert_never, assert_type

from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from agent_outcomes import (
    ActiveRun,
    AgentOutcomeSpanProcessor,
    CostKind,
    ErrorCategory,
    IsRun,
    ModelCall,
    Outcome,
    OutcomeSampler,
    OutcomeType,
    Prices,
    Problem,
    ProblemKind,
    Remedy,
    SettingsArguments,
    Source,
    State,
    Stated,
    Status,
    agent_run,
    install,
    record_outcome,
    record_run,
    retry_after_s,
    set_outcome,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span


def every_status(status: Status) -> str:  # noqa: PLR0911 - one return per status
    """A match over the status is exhaustive with these seven."""
    match status:
        case Status.SUCCESS:
            return "success"
        case Status.PARTIAL:
            return "partial"
        case Status.FAILURE:
            return "failure"
        case Status.TIMEOUT:
            return "timeout"
        case Status.CANCELLED:
            return "cancelled"
        case Status.INVALID_OUTPUT:
            return "invalid_output"
        case Status.UNKNOWN:
            return "unknown"
        case _:
            assert_never(status)


def every_type(type_: OutcomeType) -> bool | None:
    """A match over the business type is exhaustive with these five."""
    match type_:
        case OutcomeType.CONVERTED | OutcomeType.DEFLECTED:
            return True
        case OutcomeType.ESCALATED | OutcomeType.UNSUCCESSFUL:
            return False
        case OutcomeType.CUSTOM:
            return None
        case _:
            assert_never(type_)


def factories(error: ValueError) -> None:
    """Every factory takes the stated fields by keyword, in every form the documentation names."""
    assert_type(Outcome.success(type="converted", value="49.90", currency="EUR"), Outcome)
    assert_type(Outcome.success(output={"answer": 42}, type=OutcomeType.CUSTOM, value=Decimal("1.5")), Outcome)
    assert_type(Outcome.partial(value=5, currency="USD"), Outcome)
    assert_type(Outcome.failure(), Outcome)
    assert_type(Outcome.failure(error, retryable=True, error_category="network"), Outcome)
    assert_type(Outcome.failure("no stock", label="sold_out"), Outcome)
    assert_type(Outcome.timeout(message="too slow"), Outcome)
    assert_type(Outcome.cancelled(metadata={"by": "user"}), Outcome)
    assert_type(Outcome.invalid_output(output="{", metadata='{"a": 1}'), Outcome)
    assert_type(Outcome.from_exception(error, success=False), Outcome)
    Outcome.success(lable="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Outcome.success(value=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Outcome.success(success="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Outcome.success("resolved")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Outcome.timeout("after 30 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Outcome.failure(TimeoutError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Outcome.success(run_id="4711")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def fields(outcome: Outcome) -> None:
    """An outcome's fields are typed and cannot be set."""
    assert_type(outcome.status, Status)
    assert_type(outcome.retryable, bool | None)
    assert_type(outcome.remedy, Remedy | None)
    assert_type(outcome.type, OutcomeType | None)
    assert_type(outcome.business_success, bool | None)
    assert_type(outcome.value, Decimal | None)
    assert_type(outcome.state, State)
    assert_type(outcome.source, Source)
    assert_type(outcome.is_success(), bool)
    assert_type(outcome.is_retryable(), bool)
    outcome.label = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@agent_run("support-bot", job_type="ticket")
def answer(question: str, *, tries: int = 1) -> list[str]:
    """A function keeps its parameters and its result."""
    return [question] * tries


@agent_run("lead-qualifier", outcome_of=lambda _: Outcome.success(type="converted", value="49.90", currency="EUR"))
async def qualify(lead: int) -> float:
    """So does a coroutine function."""
    return lead / 2


@agent_run("streamer")
def stream(count: int) -> Generator[int, str, bool]:
    """So does a generator, with what it is sent and what it returns."""
    yield from range(count)
    return True


@agent_run("async-streamer")
async def stream_async(count: int) -> AsyncGenerator[int, None]:
    """So does an asynchronous generator."""
    for number in range(count):
        yield number


class Desk:
    """A class whose method is an agent."""

    @agent_run("desk")
    def close(self, ticket: int) -> str:
        """A method keeps its parameters, too."""
        return str(ticket)


async def decorated() -> None:
    """What was decorated is called as it was written."""
    assert_type(answer("why", tries=2), list[str])
    assert_type(await qualify(3), float)
    assert_type(stream(3), "Generator[int, str, bool]")
    assert_type(stream_async(3), "AsyncGenerator[int, None]")
    assert_type(Desk().close(5), str)
    answer(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    answer("why", 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent_run("a", lable="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def as_values(run: agent_run) -> None:
    """What was decorated goes wherever the original would, and the decorator itself may be kept."""
    plain: Callable[[str], list[str]] = answer
    coroutine: Callable[[int], Awaitable[float]] = qualify
    method: Callable[[Desk, int], str] = Desk.close
    wrong: Callable[[int], list[str]] = answer  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del plain, coroutine, method, wrong

    @run
    def counted(words: list[str]) -> dict[str, int]:
        return dict.fromkeys(words, 1)

    assert_type(counted(["a"]), dict[str, int])
    agent_run("a", outcome_of=lambda _: None)
    agent_run("a", outcome_of=Outcome.success)
    agent_run("a", outcome_of="success")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def blocks() -> None:
    """A run is a block of either kind."""
    with agent_run("support-bot", job_type="ticket") as run:
        assert_type(run, ActiveRun)
        run.set_outcome(success=False, label="escalated")
        run.set_outcome(Outcome.failure("no stock"))
    async with agent_run("support-bot") as async_run:
        assert_type(async_run, ActiveRun)


def helpers(span: Span) -> None:
    """The functions beside it take an outcome, or its fields by keyword."""
    assert_type(record_outcome(type="deflected", value=12), bool)
    assert_type(record_outcome(Outcome.success()), bool)
    set_outcome(span, Outcome.success(), label="resolved")
    set_outcome(span, success=True)
    record_run(agent="cron-bot", success=True, label="resolved", cost="0.0042", duration_s=3.1)
    record_outcome(lable="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    set_outcome("span", success=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wait(error: BaseException) -> None:
    """How long an error asks to wait, if it does."""
    assert_type(retry_after_s(error), float | None)


def set_up(is_run: Callable[[ReadableSpan], bool | None]) -> None:
    """Settings are keywords, and the sampler wraps any other."""
    AgentOutcomeSpanProcessor()
    AgentOutcomeSpanProcessor(is_run=is_run, agents_max=10, hide_message=True)
    AgentOutcomeSpanProcessor(None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    OutcomeSampler(ALWAYS_ON)


def by_table(call: ModelCall) -> tuple[Decimal, str] | None:
    """A prices function may not know a model; tokens may not have been reported."""
    assert_type(call.input_tokens, int | None)
    return (Decimal("0.01"), "USD") if call.provider == "openai" else None


def without_currency(call: ModelCall) -> Decimal:
    """An amount alone says nothing."""
    return Decimal(call.input_tokens or 0)


def prices() -> None:
    """A function or the name of the list."""
    AgentOutcomeSpanProcessor(prices=by_table)
    AgentOutcomeSpanProcessor(prices="genai-prices")
    install(prices=by_table)
    AgentOutcomeSpanProcessor(prices=without_currency)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def resolved(label: str, /, **stated: Unpack[Stated]) -> bool:
    """A wrapper of one's own takes the same keywords."""
    return record_outcome(Outcome.success(label=label, error_category=ErrorCategory.POLICY), **stated)


def set_up_wrapped(is_run: IsRun, **settings: Unpack[SettingsArguments]) -> AgentOutcomeSpanProcessor:
    """So does one of the set-up."""
    free: Prices = by_table
    AgentOutcomeSpanProcessor(prices=free)
    return AgentOutcomeSpanProcessor(is_run=is_run, **settings)


def kinds(outcome: Outcome) -> list[ProblemKind]:
    """What could not be taken is typed."""
    assert_type(outcome.problems, tuple[Problem, ...])
    assert_type(Status.from_text("approved"), Status)
    every_kind: list[CostKind] = list(CostKind)
    del every_kind
    resolved("x", value=5, currency="EUR")
    resolved("x", lable="y")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return [problem.kind for problem in outcome.problems]


def block(run: ActiveRun) -> None:
    """A run starts and ends with its block alone."""
    assert_type(run.outer, ActiveRun | None)
    run.end()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    agent_run("a", outcome=Outcome.success)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent_run("a", outcome_of=is_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def is_text(result: object) -> bool:
    """A verdict alone is no outcome."""
    return isinstance(result, str)

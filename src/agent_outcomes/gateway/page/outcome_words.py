# SPDX-License-Identifier: Apache-2.0
"""What stands of a run in a few words and one tone, the same wherever the page speaks of it. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.page import figures
from agent_outcomes.semconv import CostKind, Remedy, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.run.model import Cost


class Tone(StrEnum):
    """How something is coloured; what it means always stands there in words, too."""

    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    CALM = "calm"


class Mark(NamedTuple):
    """A word with its tone."""

    word: str
    tone: Tone


class Fact(NamedTuple):
    """One line of what something is; an `exact` value is an id or a key, to be copied as it stands."""

    name: str
    value: str
    exact: bool = False


# Green is kept for what an agent achieved: that a run ended cleanly is no news.
STATUS_TONES: Final[Mapping[str, Tone]] = {
    Status.SUCCESS: Tone.CALM,
    Status.PARTIAL: Tone.WARN,
    Status.FAILURE: Tone.BAD,
    Status.TIMEOUT: Tone.BAD,
    Status.INVALID_OUTPUT: Tone.BAD,
    Status.CANCELLED: Tone.CALM,
    Status.UNKNOWN: Tone.WARN,
}
SPENT_ON: Final[Mapping[CostKind, str]] = {
    CostKind.LLM: "models",
    CostKind.TOOL: "tools",
    CostKind.HUMAN: "people",
    CostKind.OTHER: "other",
}
PRUNED: Final = Mark("pruned", Tone.CALM)
_PENDING: Final = Mark("pending", Tone.WARN)


def status_mark(status: str) -> Mark:
    """How a run executed."""
    return Mark(status.replace("_", " "), STATUS_TONES.get(status, Tone.WARN))


def state_mark(state: State) -> Mark:
    """Whether a business result is stated."""
    return _PENDING if state is State.PENDING else Mark("reported", Tone.CALM)


def verdict_mark(outcome: Outcome) -> Mark:
    """The business verdict: success or not, else what is known instead of it."""
    if outcome.business_success is None:
        return _PENDING if outcome.state is State.PENDING else Mark("no verdict", Tone.CALM)
    return Mark("success", Tone.GOOD) if outcome.business_success else Mark("no success", Tone.BAD)


def standing_mark(content: Content | None) -> Mark:
    """The business verdict of what stands, which may have been pruned."""
    return PRUNED if content is None else verdict_mark(content.outcome)


def kind_words(outcome: Outcome) -> str:
    """Type and label, as far as they are stated."""
    stated = (None if outcome.type is None else outcome.type.value, outcome.label)
    return " · ".join(word for word in stated if word is not None)


def worth_words(outcome: Outcome) -> str | None:
    """What it was worth, to the cent."""
    return None if outcome.value is None else figures.money(outcome.value, outcome.currency)


def cost_words(cost: Cost) -> str | None:
    """What it cost in each currency, to the cent."""
    return " + ".join(figures.sums(cost.by_currency())) or None


def run_facts(content: Content) -> Iterator[Fact]:
    """What the run was and used, as far as it is known."""
    run, outcome = content.run, content.outcome
    yield from _present("job type", run.job_type)
    yield from _present("run id", run.run_id, exact=True)
    if run.duration_s is not None:
        yield Fact("duration", figures.duration(run.duration_s))
    decided = f"{outcome.evidence} ({outcome.source.value})" if outcome.evidence else outcome.source.value
    yield Fact("status decided by", decided)
    yield from _present("said status", outcome.raw_status)
    yield from _present("error", " · ".join(filter(None, (outcome.error_category, outcome.error_type))))
    yield from _retryable(outcome)
    yield from _usage(content)
    yield from _present("conversation", run.conversation_id, exact=True)
    yield from _present("agent id", run.agent_id, exact=True)
    yield from _present("called by", run.caller_id, exact=True)


def _retryable(outcome: Outcome) -> Iterator[Fact]:
    if outcome.retryable is not None:
        remedy = None if outcome.remedy in {None, Remedy.NONE} else outcome.remedy
        what = "" if remedy is None else f": {remedy.value.replace('_', ' ')}"
        yield Fact("retryable", ("yes" if outcome.retryable else "no") + what)


def _usage(content: Content) -> Iterator[Fact]:
    usage = content.run.usage
    for name, number in (("model calls", usage.model_calls), ("tool calls", usage.tool_calls)):
        if number is not None:
            yield Fact(name, figures.grouped(number))
    parts = (
        ("in", usage.input_tokens),
        ("out", usage.output_tokens),
        ("cached", usage.cached_tokens),
        ("cache write", usage.cache_write_tokens),
        ("reasoning", usage.reasoning_tokens),
    )
    yield from _present("tokens", ", ".join(f"{figures.grouped(n)} {word}" for word, n in parts if n is not None))


def _present(name: str, value: str | None, *, exact: bool = False) -> Iterator[Fact]:
    if value:
        yield Fact(name, value, exact)

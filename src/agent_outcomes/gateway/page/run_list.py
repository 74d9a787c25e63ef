# SPDX-License-Identifier: Apache-2.0
"""The list of runs: what is asked for in the address, and a row for each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.page import figures
from agent_outcomes.gateway.page.outcome_words import (
    Mark,
    cost_words,
    kind_words,
    standing_mark,
    status_mark,
    worth_words,
)
from agent_outcomes.gateway.page.period import SPAN_WORDS, Span, read_period
from agent_outcomes.ledger.rows import RunFilter, place_in
from agent_outcomes.semconv import OutcomeType, State, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum
    from typing import TypeVar

    from agent_outcomes.ledger.rows import RunRow

    _Word = TypeVar("_Word", bound=StrEnum)

ROWS: Final = 100
ANY_TIME: Final = "all"
_TEXT_LENGTH_MAX: Final = 256


class Wanted(NamedTuple):
    """Which runs are asked for, in the words of the address; what is empty does not matter."""

    state: str = ""
    agent: str = ""
    job_type: str = ""
    status: str = ""
    type: str = ""
    label: str = ""
    range: str = ANY_TIME


class RunLine(NamedTuple):
    """One run in a list."""

    outcome_id: str
    name: str
    agent: str | None
    job_type: str | None
    ended_ns: int
    age: str
    status: Mark
    verdict: Mark
    kind: str
    value: str | None
    cost: str | None
    duration: str


RANGES: Final[Mapping[str, str]] = {ANY_TIME: "any time", **{span.value: SPAN_WORDS[span] for span in Span}}


def read_wanted(query: Mapping[str, str]) -> Wanted:
    """What the address asks for; what it may not ask for is left out. Never raises."""
    texts = {name: query.get(name, "").strip()[:_TEXT_LENGTH_MAX] for name in Wanted._fields}
    return Wanted(
        state=_one_of(State, texts["state"]),
        agent=texts["agent"],
        job_type=texts["job_type"],
        status=_one_of(Status, texts["status"]),
        type=_one_of(OutcomeType, texts["type"]),
        label=texts["label"],
        range=texts["range"] if texts["range"] in RANGES else ANY_TIME,
    )


def run_filter(
    wanted: Wanted,
    agents: frozenset[str] | None,
    before: tuple[int, int] | None,
    now_ns: int,
    rows: int = ROWS,
) -> RunFilter:
    """The same for the ledger, of the agents that whoever asks may see."""
    period = None if wanted.range == ANY_TIME else read_period({"range": wanted.range}, now_ns)
    return RunFilter(
        state=State(wanted.state) if wanted.state else None,
        agent=wanted.agent or None,
        since_ns=None if period is None else period.since_ns,
        limit=rows,
        job_type=wanted.job_type or None,
        status=Status(wanted.status) if wanted.status else None,
        type=OutcomeType(wanted.type) if wanted.type else None,
        label=wanted.label or None,
        agents=agents,
        before=before,
    )


def read_place(text: str) -> tuple[int, int] | None:
    """The place in a list that the address names; `None`, its beginning, for what is no place."""
    return place_in(text, ".")


def place_text(cursor: tuple[int, int] | None) -> str | None:
    """A place in a list, for an address."""
    return None if cursor is None else f"{cursor[0]}.{cursor[1]}"


def run_line(row: RunRow, now_ns: int) -> RunLine:
    """The row of a run."""
    content = row.standing.content
    return RunLine(
        outcome_id=row.outcome_id,
        name=row.run_id or row.outcome_id[:12] + "…",
        agent=row.agent_name,
        job_type=None if content is None else content.run.job_type,
        ended_ns=row.end_ns,
        age=figures.age(now_ns - row.end_ns),
        status=status_mark(row.status),
        verdict=standing_mark(content),
        kind="" if content is None else kind_words(content.outcome),
        value=None if content is None else worth_words(content.outcome),
        cost=None if content is None else cost_words(content.run.cost),
        duration=figures.duration(None if content is None else content.run.duration_s),
    )


def _one_of(words: type[_Word], text: str) -> str:
    return text if any(text == word.value for word in words) else ""

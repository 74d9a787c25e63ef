# SPDX-License-Identifier: Apache-2.0
"""A process killed right after any of its durable writes: whatever goes on from there counts the same, once.

Where a kill by a signal hits is chance; here each moment is tried at which what is on disk has changed.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_outcomes.gateway.assembly.segments import SegmentWriter, remove_segment
from agent_outcomes.gateway.settings import AssemblyLimits
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from tests.called_agents import callee, caller
from tests.exported import LOCAL, Sent, agent, chat
from tests.integration.gateway.assembly_bench import LONG_S, Bench
from tests.sent_forests import forest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

LEDGER: Final = "ledger.db"


class Seen(NamedTuple):
    """A run as the ledger has it."""

    agent: str | None
    input_tokens: int | None
    problems: tuple[str, ...]


def seen(bench: Bench) -> dict[str, Seen]:
    """The runs in the ledger by their ids."""
    found = {}
    for row in bench.store.runs(RunFilter()):
        assert row.standing.content is not None
        run, outcome = row.standing.content.run, row.standing.content.outcome
        found[row.outcome_id] = Seen(row.agent_name, run.usage.input_tokens, tuple(map(str, outcome.problems)))
    return found


def copied(folder: Path, image: Path) -> Path:
    """State folder and ledger as they are on disk now."""
    shutil.copytree(folder, image, ignore=shutil.ignore_patterns(f"{LEDGER}*", "lock"))
    with closing(sqlite3.connect(folder / LEDGER)) as here, closing(sqlite3.connect(image / LEDGER)) as there:
        here.backup(there)
    return image


@contextmanager
def images_of(bench: Bench, folder: Path) -> Iterator[list[Path]]:
    """What a kill right after each durable write leaves, and right before the first; one at a time is written."""
    taken = [copied(bench.settings.state_folder, folder / "0")]

    def imaged(call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*given: Any) -> Any:
            result = call(*given)
            taken.append(copied(bench.settings.state_folder, folder / str(len(taken))))
            return result

        return calling

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentWriter, "append", imaged(SegmentWriter.append))
        patch.setattr("agent_outcomes.gateway.assembly.journal.remove_segment", imaged(remove_segment))
        patch.setattr(Store, "accept", imaged(Store.accept))
        yield taken


def continued(image: Path, limits: AssemblyLimits, restarts: int, then: Sequence[Sent]) -> dict[str, Seen]:
    """The runs when the next processes go on from an image, the last of which is sent the rest."""
    bench = Bench(image, limits)
    try:
        for _ in range(restarts):
            bench.step()
            bench.restart()
        bench.step(LONG_S)
        bench.restart()
        if then:
            bench.send(then)
        bench.step(LONG_S)
        return seen(bench)
    finally:
        bench.close()


LOST = [
    Sent(id=9, parent=8, flags=LOCAL, attributes=chat(5), start_us=300, end_us=400),
    Sent(id=11, parent=7, flags=LOCAL, attributes=agent("inner"), start_us=310, end_us=390),
    Sent(id=12, parent=11, flags=LOCAL, attributes=chat(7), start_us=320, end_us=380),
]
"""Calls and an agent of a process whose spans above them are late."""
ABOVE = [
    Sent(id=8, parent=1, flags=LOCAL, start_us=200, end_us=500),
    Sent(id=7, parent=1, flags=LOCAL, start_us=200, end_us=500),
]
WHOLE = [Sent(id=1, attributes=agent("desk")), Sent(id=2, parent=1, attributes=chat(10), flags=LOCAL)]
STEPS: Final = {
    "callee, caller": (callee(4), caller()),
    "caller, callee": (caller(), callee(4)),
    "callee with other tokens, caller": (callee(4, 500), caller()),
    "run with lost parts, what is above them": ([*WHOLE, *LOST], ABOVE),
    "lost parts, the run": (LOST, [*ABOVE, *WHOLE]),
    "lost parts, what is above them, which no run is": (LOST, ABOVE),
    "a run, a late call of it": (WHOLE, [replace(LOST[0], parent=2)]),
    "a run, a late agent of it": (WHOLE, [replace(LOST[1], parent=1)]),
    "callee and lost parts, caller": ([*callee(4), *LOST], caller()),
}


@pytest.mark.parametrize("restarts", [0, 1, 3])
@pytest.mark.parametrize("names", STEPS)
def test_a_kill_at_any_moment_changes_no_count(tmp_path: Path, names: str, restarts: int) -> None:
    """Between what has been counted and what comes for it afterwards."""
    first, then = STEPS[names]
    limits = AssemblyLimits()
    _, expected, images = uninterrupted(tmp_path, limits, first, then)
    assert len(images) > 3
    found = [continued(image, limits, restarts, then) for image in images]
    assert found == [expected] * len(images)


def uninterrupted(
    folder: Path, limits: AssemblyLimits, first: Sequence[Sent], then: Sequence[Sent]
) -> tuple[dict[str, Seen], dict[str, Seen], list[Path]]:
    """The runs of what came first, all runs, without any kill, and images of each moment at which the first settled."""
    (folder / "whole").mkdir()
    bench = Bench(folder / "whole", limits)
    try:
        if first:
            bench.send(first)
        with images_of(bench, folder) as images:
            bench.step(LONG_S)
        before = seen(bench)
        bench.restart()
        if then:
            bench.send(then)
        bench.step(LONG_S)
        return before, seen(bench), images
    finally:
        bench.close()


def tokens(runs: Iterable[Seen]) -> int:
    """What they have used together."""
    return sum(run.input_tokens or 0 for run in runs)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_random_traces_change_no_count_and_count_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Of processes that call each other, some of whose spans come late or never.

    What nobody needed any more may be read again, so that of what is late more may be known than without a kill.
    """
    chance = random.Random(seed)
    folder, limits = tmp_path_factory.mktemp("images"), AssemblyLimits()
    sent = [span for span in forest(chance) if chance.random() < 0.9]
    share = chance.choice([0.1, 0.5])
    late = [span for span in sent if chance.random() < share]
    before, after, images = uninterrupted(folder, limits, [span for span in sent if span not in late], late)
    used = sum(int(span.attributes.get("gen_ai.usage.input_tokens", 0)) for span in sent)
    for image in images:
        found = continued(image, limits, chance.randint(0, 2), late)
        assert before.items() <= found.items()
        assert tokens(after.values()) <= tokens(found.values()) <= used
    shutil.rmtree(folder)


@settings(max_examples=40, deadline=None)
@given(st.permutations([*caller(), *callee(4)]), st.integers(0, 7), st.integers(0, 2))
def test_a_called_agent_is_counted_once_however_its_spans_come(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Sent], first: int, restarts: int
) -> None:
    """Any of the spans of both processes before the kill, and the others after it."""
    folder, limits = tmp_path_factory.mktemp("images"), AssemblyLimits()
    before, after, images = uninterrupted(folder, limits, spans[:first], spans[first:])
    # Without the span between both processes nobody knows that they belong together.
    most = max(380, tokens(after.values()))
    for image in images:
        found = continued(image, limits, restarts, spans[first:])
        assert before.items() <= found.items()
        assert {run.agent for run in after.values()} <= {run.agent for run in found.values()}
        assert tokens(found.values()) <= most
    shutil.rmtree(folder)

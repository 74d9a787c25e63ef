# SPDX-License-Identifier: Apache-2.0
"""Who is whose parent decides before any clock, and the order of a file decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exported import LOCAL, SERVER, SERVICE, Sent, agent, chat, runs_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.exported import Seen

RESOURCES: Final = (
    SERVICE,
    {**SERVICE, "k8s.pod.name": "shop-1"},
    {**SERVICE, "k8s.pod.name": "shop-1", "host.name": "n1"},
    {**SERVICE, "cloud.region": "eu", "k8s.pod.name": "shop-1.other"},
)


def nested(*, parent: tuple[float, float], child: tuple[float, float]) -> list[Sent]:
    """A coordinator with an agent below it, and a model call in each."""
    return [
        Sent(id=1, attributes=agent("coordinator"), start_us=parent[0], end_us=parent[1]),
        Sent(id=2, parent=1, attributes=agent("researcher"), start_us=child[0], end_us=child[1]),
        Sent(id=3, parent=2, attributes=chat(100, 10), start_us=child[0], end_us=child[1]),
        Sent(id=4, parent=1, attributes=chat(50, 5), start_us=parent[0], end_us=parent[1]),
    ]


ONE: Final[list[Seen]] = [("coordinator", 150, 15, 2)]


@pytest.mark.parametrize("early_us", [1, 600, 1000, 50_000, 3_600_000_000])
def test_a_child_that_began_before_its_parent_is_below_it(early_us: int) -> None:
    """By whatever a clock was set back in between."""
    assert runs_in(nested(parent=(early_us, early_us + 9000), child=(0, 5000))) == ONE


@pytest.mark.parametrize("late_us", [1, 600, 1999, 250_000])
def test_a_child_that_ended_after_its_root(late_us: int) -> None:
    """By two clocks, or as what is below a stream does."""
    assert runs_in(nested(parent=(0, 9000), child=(1000, 9000 + late_us))) == ONE


@pytest.mark.parametrize("grain_us", [1000, 1_000_000])
def test_times_cut_by_a_store(grain_us: int) -> None:
    """What began in one unit with its parent's end is still below it."""
    spans = nested(parent=(0, 8.2 * grain_us), child=(8.1 * grain_us, 8.15 * grain_us))
    cut = [replace(each, start_us=each.start_us // grain_us * grain_us, end_us=each.start_us) for each in spans]
    assert runs_in(cut) == ONE


def test_a_clock_set_back_within_the_root() -> None:
    """It ends before it started, and before what it called."""
    assert runs_in(nested(parent=(100_000, 60_000), child=(101_000, 103_000))) == ONE


def test_an_agent_that_started_after_its_parent_had_ended() -> None:
    """A span that stands for a started workflow ends at once, and all that it does comes later."""
    assert runs_in(nested(parent=(0, 1000), child=(5000, 6000))) == ONE


def test_calls_that_ended_after_their_run_are_part_of_it() -> None:
    """The process had to tell what the run came to before it knew; the file has the rest."""
    spans = [
        Sent(id=1, attributes=agent("a"), start_us=0, end_us=10_000),
        Sent(id=2, parent=1, attributes=chat(7), start_us=1000, end_us=2000),
        Sent(id=3, parent=1, attributes=chat(5), start_us=5000, end_us=400_000),
        Sent(id=4, parent=1, attributes=chat(3), start_us=20_000, end_us=21_000),
    ]
    assert runs_in(spans) == [("a", 15, 3, 3)]


@dataclass(frozen=True, slots=True)
class Node:
    """What an application does: an agent, a model call (its input tokens) or a step, and how long around its parts."""

    agent: str | None
    tokens: int
    lead_us: int
    parts: tuple[Node, ...]


LEADS: Final = st.integers(0, 4000)
CALLS: Final = st.builds(Node, st.none(), st.integers(1, 1000), LEADS, st.just(()))
NODES: Final = st.recursive(
    CALLS,
    lambda parts: st.builds(
        Node, st.sampled_from([None, "lime", "oak", "elm"]), st.just(0), LEADS, st.lists(parts, max_size=4).map(tuple)
    ),
    max_leaves=12,
)
ROOTS: Final = st.builds(Node, st.just("root"), st.just(0), LEADS, st.lists(NODES, min_size=1, max_size=4).map(tuple))


def sent(root: Node, trace: str) -> list[Sent]:
    """The spans of a request that runs one agent, in the order in which they end."""
    spans: list[Sent] = []
    clock_us = 0

    def visit(node: Node, parent: int) -> None:
        nonlocal clock_us
        started_us, number = clock_us, len(spans) + 2
        spans.append(Sent(id=number))
        clock_us += node.lead_us
        for part in node.parts:
            visit(part, number)
        clock_us += node.lead_us
        marks = chat(node.tokens) if node.tokens else agent(node.agent) if node.agent else {}
        spans[number - 2] = Sent(
            id=number,
            parent=parent,
            trace=trace,
            start_us=started_us,
            end_us=clock_us,
            attributes=marks,
            flags=LOCAL,
        )

    visit(root, 1)
    return [Sent(id=1, kind=SERVER, trace=trace, end_us=clock_us, flags=LOCAL), *spans]


def expected(root: Node) -> Seen:
    """The ledger: every call below the root."""

    def calls(node: Node) -> list[int]:
        return [node.tokens] * bool(node.tokens) + [one for part in node.parts for one in calls(part)]

    found = calls(root)
    return "root", sum(found) or None, len(found) or None, len(found) or None


def anchored(span: Sent, drift_us: int) -> Sent:
    """As a JavaScript process times it: started by a clock of whole milliseconds, ended by a steady one."""
    start_us = span.start_us // 1000 * 1000
    return replace(span, start_us=start_us, end_us=start_us + (span.end_us or 0) - span.start_us + drift_us)


def right(span: Sent, _noise: int) -> Sent:
    return span


def set_meanwhile(span: Sent, noise: int) -> Sent:
    """As a wall clock times it that somebody sets."""
    return replace(span, start_us=span.start_us - noise * 1000, end_us=(span.end_us or 0) + (50 - noise) * 1000)


CLOCKS: Final = (right, anchored, set_meanwhile)


@settings(deadline=None, max_examples=150)
@given(roots=st.lists(ROOTS, min_size=1, max_size=3), data=st.data())
def test_order_clocks_and_resources_change_no_run(roots: Sequence[Node], data: st.DataObject) -> None:
    """Shuffled, timed by clocks that disagree, with resources that were enriched on the way, and some sent twice."""
    spans = [each for number, root in enumerate(roots, 1) for each in sent(root, f"{number:032x}")]
    ledger = sorted(map(expected, roots), key=repr)
    assert sorted(runs_in(spans), key=repr) == ledger
    timed = [data.draw(st.sampled_from(CLOCKS))(each, data.draw(st.integers(0, 100))) for each in spans]
    split = [replace(each, resource=data.draw(st.sampled_from(RESOURCES))) for each in timed]
    snapshots = [
        replace(each, end_us=None, attributes=chat(1) if "gen_ai.usage.input_tokens" in each.attributes else {})
        for each in data.draw(st.lists(st.sampled_from(split), max_size=3))
    ]
    shuffled = data.draw(st.permutations([*split, *snapshots]))
    assert sorted(runs_in(shuffled), key=repr) == ledger
    assert runs_in(shuffled) == runs_in([*split, *snapshots])

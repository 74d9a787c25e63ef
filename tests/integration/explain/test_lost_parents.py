# SPDX-License-Identifier: Apache-2.0
"""Spans whose parent is not in the file, to a filter, a sampler or a full queue: no run looks whole without them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_outcomes.explain.reading import read_spans
from agent_outcomes.explain.replay import replay
from tests.assembled import LIMITS, Coming, accepted, collected, divided, explained, pieces_of, taken, told
from tests.exported import CLIENT, LOCAL, REMOTE, SERVER, SERVICE, Sent, agent, chat

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

LOST: Final = 77
"""Of a span that is in no file."""
OTHER: Final = {"service.name": "stock"}
TOOL: Final = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look-up"}
PRICE: Final = "0.5"


class Found(NamedTuple):
    """A run: its agent, its input tokens, its problems and whether its cost is called complete."""

    name: str | None
    tokens: int | None
    problems: tuple[str, ...] = ()
    is_complete: bool | None = True


def found(spans: Iterable[Sent]) -> list[Found]:
    """What `explain` makes of the spans, by the names of the agents."""
    text = "\n".join(span.line() for span in spans)
    settled = replay(read_spans(text).spans).settlements
    return sorted(
        Found(
            each.run.agent_name,
            each.run.usage.input_tokens,
            tuple(sorted(str(problem) for problem in each.outcome.problems)),
            each.run.cost.complete,
        )
        for each in settled
    )


def call(number: int, parent: int, tokens: int = 40, *, at: tuple[float, float] = (100, 200), **more: object) -> Sent:
    """A model call that says what it has cost."""
    attributes = {**chat(tokens), "gen_ai.usage.cost": PRICE}
    made = Sent(id=number, parent=parent, attributes=attributes, start_us=at[0], end_us=at[1], flags=LOCAL)
    return replace(made, **more)  # type: ignore[arg-type]


def run(first: int, name: str, *, at: tuple[float, float] = (0, 1000), **more: object) -> list[Sent]:
    """An agent with a model call."""
    root = Sent(id=first, attributes=agent(name), start_us=at[0], end_us=at[1], flags=LOCAL)
    return [replace(root, **more), call(first + 1, first, at=(at[0] + 1, at[0] + 2))]  # type: ignore[arg-type]


LATE: Final = ("late_usage",)
DOUBT: Final = ("parent_not_seen",)


@pytest.mark.parametrize("flags", [LOCAL, None])
@pytest.mark.parametrize("attributes", [{**chat(900), "gen_ai.usage.cost": PRICE}, TOOL], ids=["model", "tool"])
def test_usage_below_a_lost_span_makes_the_run_around_it_incomplete(
    flags: int | None, attributes: Mapping[str, str | int]
) -> None:
    """As the processor says of the same spans; whichever resource a collector has added to."""
    lost = Sent(id=9, parent=LOST, attributes=attributes, start_us=300, end_us=400, flags=flags)
    expected = [Found("night shift", 40, LATE, is_complete=False)]
    assert found([*run(1, "night shift"), lost]) == expected
    assert found([lost, *run(1, "night shift", resource={**SERVICE, "host.name": "h"})]) == expected


def test_usage_that_outlived_its_run_counts_by_its_start() -> None:
    """What streams goes on when the agent has ended; what started after it is nobody's."""
    spans = run(1, "kiosk")
    assert found([*spans, call(9, LOST, at=(900, 5000))]) == [Found("kiosk", 40, LATE, is_complete=False)]
    assert found([*spans, call(9, LOST, at=(1001, 5000))]) == [Found("kiosk", 40)]
    assert found([*run(1, "kiosk", at=(50, 1000)), call(9, LOST, at=(10, 500))]) == [Found("kiosk", 40)]


@pytest.mark.parametrize("flags", [LOCAL, None])
def test_in_one_and_the_same_moment_an_agent_comes_before_what_it_may_have_called(flags: int | None) -> None:
    """Clocks of whole milliseconds; ids say nothing."""
    spans = run(50, "kiosk", at=(5, 1000))
    assert found([*spans, call(3, LOST, at=(5, 6), flags=flags)])[0].problems == LATE


@pytest.mark.parametrize("end_us", [600, 5000])
@pytest.mark.parametrize("depth", [0, 1])
def test_an_agent_below_a_lost_span_is_a_doubt_on_both(end_us: float, depth: int) -> None:
    """Whether it ends in time or not, and whether it is right below the lost one or a step below that."""
    outer = run(1, "outer")
    inner = run(20, "inner", at=(400, end_us), parent=LOST + depth)
    steps = [Sent(id=LOST + 1, parent=LOST, start_us=390, end_us=end_us, flags=LOCAL)] if depth else []
    ours, theirs = found([*outer, *steps, *inner])
    assert (ours.name, ours.tokens, ours.problems, ours.is_complete) == ("inner", 40, DOUBT, True)
    assert (theirs.name, theirs.tokens) == ("outer", 40)
    assert "parent_not_seen" in theirs.problems
    assert end_us > 1000 or (not theirs.is_complete and "late_usage" in theirs.problems)


def test_an_agent_without_usage_takes_nothing_from_the_cost() -> None:
    """Only the doubt is listed."""
    inner = Sent(id=20, parent=LOST, attributes=agent("inner"), start_us=400, end_us=500, flags=LOCAL)
    assert found([*run(1, "outer"), inner]) == [Found("inner", None, DOUBT, None), Found("outer", 40, DOUBT)]


@pytest.mark.parametrize("flags", [LOCAL, None])
def test_what_a_lost_span_is_above_of_is_not_part_of_each_other(flags: int | None) -> None:
    """Web servers' spans are often left out: what runs side by side below one are runs and calls of their own."""
    spans = [
        *run(1, "one", parent=LOST, flags=flags),
        *run(10, "two", parent=LOST, at=(5, 900), flags=flags),
        call(30, LOST, 700, at=(100, 200), flags=flags),
    ]
    assert found(spans) == [Found("one", 40), Found("two", 40)]


STRANGE: Final = {
    "plain": Sent(id=9, parent=LOST, start_us=300, end_us=400, flags=LOCAL),
    "another trace": call(9, LOST, trace=f"{5:032x}"),
    "another service": call(9, LOST, resource=OTHER),
    "another service without flags": call(9, LOST, resource=OTHER, flags=None),
    "a remote parent": call(9, LOST, flags=REMOTE),
    "a server": call(9, LOST, flags=None, kind=SERVER),
    "no parent": Sent(id=9, attributes=chat(5), start_us=300, end_us=400),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_what_is_of_no_run_for_another_reason_says_nothing_against_one(strange: Sent) -> None:
    """Spans that report nothing, of other traces and processes, or that nobody above was lost of."""
    assert found([*run(1, "desk"), strange]) == [Found("desk", 40)]


def test_a_parent_that_is_another_process_s_is_not_lost() -> None:
    """Two calls of a service at once, by an SDK without flags, and a model call of either whose parent is lost."""
    calls = [Sent(id=number, parent=1, kind=CLIENT, start_us=50, end_us=900, flags=LOCAL) for number in (5, 6)]
    served = [
        *run(10, "first", parent=5, at=(60, 800), flags=None),
        *run(20, "second", parent=6, at=(61, 700), flags=None),
    ]
    served = [replace(span, resource=OTHER) for span in served]
    whole = [*run(1, "desk", at=(0, 5000)), *calls, *served]
    assert found(whole) == [Found("desk", 40), Found("first", 40), Found("second", 40)]
    doubt = [Found(name, 40, LATE, is_complete=False) for name in ("first", "second")]
    assert found([*whole, call(30, LOST, at=(300, 400), flags=None, resource=OTHER)]) == [Found("desk", 40), *doubt]
    assert found([*whole, call(30, LOST, at=(900, 1000), flags=None, resource=OTHER)])[1:] == [
        Found("first", 40),
        Found("second", 40),
    ]


@pytest.mark.parametrize(("flags", "kind"), [(REMOTE, SERVER), (None, SERVER), (REMOTE, 1)])
def test_replicas_of_one_resource_stay_apart(flags: int | None, kind: int) -> None:
    """A call of one by the other is a run of its own, with its caller, whatever else has been lost of them."""
    client = Sent(id=5, parent=1, kind=CLIENT, start_us=20, end_us=900, flags=LOCAL)
    callee = run(10, "callee", parent=5, at=(60, 800), flags=flags, kind=kind)
    lost = call(30, LOST, at=(30, 40))
    spans = [*run(1, "caller"), client, *callee]
    whole = [Found("callee", 40), Found("caller", 40)]
    assert found(spans) == whole
    assert found([*spans, lost]) == [whole[0], Found("caller", 40, LATE, is_complete=False)]
    assert callers([*spans, lost]) == callers(spans)


def callers(spans: Iterable[Sent]) -> dict[str | None, str | None]:
    """By which span each run was called."""
    text = "\n".join(span.line() for span in spans)
    runs = [each.run for each in replay(read_spans(text).spans).settlements]
    return {each.agent_name: each.caller_id for each in runs}


class Tree:
    """A random tree of one process, agents and model calls and steps in it, in nested times."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.spans: list[Sent] = []
        self._grow(None, 0.0, 1e9, 0)

    def _grow(self, parent: int | None, start: float, end: float, depth: int) -> None:
        chance, number = self.chance, len(self.spans) + 1
        kinds: list[Mapping[str, str | int]] = [agent(f"a{number}"), TOOL, {}, chat(chance.randint(1, 999))]
        attributes = kinds[0] if parent is None else chance.choice(kinds)
        if attributes is kinds[3]:
            attributes = {**attributes, "gen_ai.usage.cost": PRICE}
        self.spans.append(
            Sent(
                id=number,
                parent=parent,
                attributes=attributes,
                start_us=start,
                end_us=end,
                flags=chance.choice([LOCAL, None]),
            )
        )
        count = chance.randint(1, 4) if depth < 4 and "gen_ai.usage.cost" not in attributes else 0
        width = (end - start) / (count + 1)
        for place in range(count):
            self._grow(number, start + width * (place + 0.1), start + width * (place + 0.9), depth + 1)


def used_below(spans: Sequence[Sent]) -> dict[str, int]:
    """What each agent and all that was really below it has used, of the spans that are left."""
    by_id = {span.id: span for span in spans}
    used: dict[str, int] = {}
    for span in spans:
        at: Sent | None = span
        while at is not None:
            name = at.attributes.get("gen_ai.agent.name")
            if name is not None:
                used[str(name)] = used.get(str(name), 0) + int(span.attributes.get("gen_ai.usage.input_tokens", 0))
            at = None if at.parent is None else by_id[at.parent]
    return used


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_run_looks_whole_that_has_lost_something_between(chance: random.Random) -> None:
    """Any spans of any tree lost: the tokens of what is left of each run are told, or it says that it is not whole."""
    tree = Tree(chance)
    lost = {span.id for span in tree.spans if chance.random() < 0.25}
    kept = [span for span in tree.spans if span.id not in lost]
    # What a lost call has used is not to be known.
    calls = {span.id for span in tree.spans if "gen_ai.usage.cost" in span.attributes} & lost
    whole = used_below([replace(span, attributes={}) if span.id in calls else span for span in tree.spans])
    if not kept:
        return
    for each in found(kept):
        is_right = (each.tokens or 0) == whole[str(each.name)]
        assert is_right or each.problems, (each, whole)
        assert is_right or each.is_complete is False or "parent_not_seen" in each.problems


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_gateway_says_the_same(chance: random.Random) -> None:
    """In any order and division, once nothing comes any more."""
    kept = [span for span in Tree(chance).spans if chance.random() < 0.75]
    if not kept:
        return
    text = "\n".join(span.line() for span in kept)
    collection = collected(Coming(body, 0.0) for body in divided(pieces_of(text), chance))
    parts = [*taken(collection, LIMITS.settle_after_s), *taken(collection, LIMITS.idle_after_s)]
    assert told(accepted(parts)) == explained(text)

# SPDX-License-Identifier: Apache-2.0
"""When parts of traces settle: whole calls after a moment, what lacks its parent when nothing comes any more."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from agent_outcomes.gateway.assembly.collection import Collection
from agent_outcomes.gateway.assembly.journal_records import encode_mark, read_mark
from agent_outcomes.gateway.assembly.parts import mark_of, together
from agent_outcomes.gateway.assembly.settling import Around, settle
from agent_outcomes.gateway.settings import AssemblyLimits
from agent_outcomes.gateway.wire.frames import frame_traces
from tests.assembled import LIMITS, accepted, divided, pieces_of, taken, told
from tests.exported import CLIENT, LOCAL, REMOTE, SERVER, Sent, agent, chat
from tests.sent_forests import forest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.ledger.book.accepted import Acceptance

OTHER = {"service.name": "stock"}
SOON_S = LIMITS.settle_after_s
LONG_S = LIMITS.idle_after_s


def come(collection: Collection, spans: Sequence[Sent], at_s: float) -> tuple[int, int, int]:
    """Have spans come in one request; how many were held, late, repeated."""
    body = b"".join(pieces_of("\n".join(span.line() for span in spans)))
    return tuple(collection.add(frame_traces(body), body, 1, at_s))  # type: ignore[return-value]


def runs(collection: Collection, at_s: float) -> list[str | None]:
    """The agents' names of the runs that are due."""
    return [each.run.agent_name for each in accepted(settle_all(collection, at_s))]


def settle_all(collection: Collection, at_s: float) -> list[TracePart]:
    """What is due, as the pipeline treats it."""
    kept = []
    for part in taken(collection, at_s):
        if collection.is_late(part):
            continue
        around = Around(missed=collection.settled.missed.among(part.trace_id, part.spans))
        result = settle(part, lambda _: False, around)
        made = {each.run.span_id.to_bytes(8, "big"): each.run for each in result.acceptances}
        if made:
            outside = [span.id for span in part.spans if span.id not in result.inside]
            collection.settled.add(part).judge(made, outside)
        if part.is_lost:
            collection.settled.missed.note(part.trace_id, part.spans, made)
        kept.append(part)
    return kept


def a_run(first: int, name: str = "desk", **more: object) -> list[Sent]:
    """An agent with a model call."""
    return [
        Sent(id=first, attributes=agent(name), **more),  # type: ignore[arg-type]
        Sent(id=first + 1, parent=first, attributes=chat(10), flags=LOCAL),
    ]


@pytest.fixture
def collection() -> Collection:
    return Collection(LIMITS)


def test_a_run_settles_a_moment_after_its_root_came(collection: Collection) -> None:
    """Not before, and once."""
    root, call = a_run(1)
    come(collection, [call], 0.0)
    come(collection, [root], 20.0)
    assert runs(collection, 20.0 + SOON_S - 0.1) == []
    assert runs(collection, 20.0 + SOON_S) == ["desk"]
    assert runs(collection, 1e6) == []
    assert len(collection.held) == collection.held.span_count == collection.held.size_bytes == 0


def test_without_its_root_a_part_settles_when_nothing_comes_any_more(collection: Collection) -> None:
    """Each span that comes makes it wait again."""
    root, call = a_run(2, parent=1, flags=LOCAL)
    come(collection, [call], 0.0)
    come(collection, [root], LONG_S - 1)
    assert runs(collection, 2 * LONG_S - 2) == []
    assert runs(collection, 2 * LONG_S - 1) == ["desk"]


def test_a_long_run_keeps_all_that_it_has_used(collection: Collection) -> None:
    """What came early waits for the root as long as anything comes."""
    calls = [Sent(id=9 + number, parent=1, flags=LOCAL, attributes=chat(10)) for number in range(20)]
    for number, call in enumerate(calls):
        come(collection, [call], number * (LONG_S - 1))
        assert taken(collection, number * (LONG_S - 1)) == []
    end_s = len(calls) * (LONG_S - 1)
    come(collection, a_run(1), end_s)
    (run,) = accepted(taken(collection, end_s + SOON_S))
    assert run.run.usage.input_tokens == 210


def test_no_trace_is_held_for_ever(collection: Collection) -> None:
    """Though something comes all the time."""
    at_s = 0.0
    while at_s < LIMITS.open_max_s:
        come(collection, [Sent(id=100 + int(at_s), parent=1, flags=LOCAL, attributes=agent("loop"))], at_s)
        assert taken(collection, at_s) == []
        at_s += LONG_S / 2
    assert len(taken(collection, LIMITS.open_max_s)) == 1


@pytest.mark.parametrize("flags", [LOCAL, None])
def test_a_nested_agent_whose_parent_comes_late_is_no_run(collection: Collection, flags: int | None) -> None:
    """It waits for the agent that it belongs to."""
    inner = a_run(3, "inner", parent=1, flags=flags)
    come(collection, inner, 0.0)
    assert runs(collection, LONG_S - 1) == []
    come(collection, a_run(1, "outer")[:1], LONG_S - 1)
    assert runs(collection, LONG_S - 1 + SOON_S) == ["outer"]


def test_what_comes_late_changes_nothing(collection: Collection) -> None:
    """Neither a span below a settled one nor the very same again, and what is below a late one is late."""
    spans = a_run(1)
    come(collection, spans, 0.0)
    assert runs(collection, SOON_S) == ["desk"]
    late = [Sent(id=7, parent=1, flags=LOCAL, attributes=agent("late")), Sent(id=8, parent=7, flags=LOCAL)]
    assert come(collection, [*late, *spans], 30.0) == (0, 4, 0)
    assert len(collection.held) == 0


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("flags", [LOCAL, None])
def test_an_agent_above_a_settled_one_is_a_run_in_doubt(collection: Collection, flags: int | None, steps: int) -> None:
    """What it states would be lost else. That one has gone before is listed, however many steps are between."""
    come(collection, a_run(30, "inner", parent=steps + 1, flags=flags), 0.0)
    assert runs(collection, LONG_S) == ["inner"]
    for step in range(steps + 1, 1, -1):
        assert come(collection, [Sent(id=step, parent=step - 1, flags=flags)], LONG_S + 1) == (0, 1, 0)
    assert come(collection, [Sent(id=1, attributes=agent("outer"))], LONG_S + 2) == (1, 0, 0)
    assert come(collection, [Sent(id=50, parent=1, flags=flags, attributes=chat(5))], LONG_S + 3) == (1, 0, 0)
    ((name, listed, is_complete),) = told_of(settled(collection, LONG_S + 2 + SOON_S))
    assert (name, sorted(listed), is_complete) == ("outer", ["late_usage", "parent_not_seen"], False)
    assert collection.lost_count == 0
    assert come(collection, [Sent(id=1, attributes=agent("outer"))], 1e6) == (0, 1, 0)


@pytest.mark.parametrize(
    ("early", "is_whole"),
    [
        (Sent(id=9, parent=1, flags=LOCAL, attributes=chat(10)), False),
        (Sent(id=9, parent=1, flags=LOCAL, attributes={"llm.token_count.prompt": 7}), False),
        (Sent(id=9, parent=1, attributes={"gen_ai.operation.name": "execute_tool"}), False),
        # Neither what has used nothing nor what another process has used.
        (Sent(id=9, parent=1, flags=LOCAL), True),
        (Sent(id=9, parent=1, flags=REMOTE, attributes=chat(10)), True),
        (Sent(id=9, parent=1, kind=SERVER, attributes=chat(10)), True),
        (Sent(id=9, parent=1, resource=OTHER, attributes=chat(10)), True),
    ],
)
@pytest.mark.parametrize("steps", [0, 2])
def test_a_run_that_paused_for_too_long_says_so(
    collection: Collection,
    early: Sent,
    is_whole: bool,  # noqa: FBT001
    steps: int,
) -> None:
    """What came before the pause is no longer there, and it may have been told that it was all of it."""
    come(collection, [replace(early, parent=steps + 1)], 0.0)
    assert runs(collection, LONG_S) == []
    for number in range(steps):
        step = Sent(id=steps + 1 - number, parent=steps - number, flags=LOCAL)
        come(collection, [step], (number + 1) * (LONG_S + 1))
        assert runs(collection, (number + 2) * (LONG_S + 1)) == []
    come(collection, [Sent(id=1, attributes=agent("desk"))], 9 * LONG_S)
    ((name, listed, is_complete),) = told_of(settled(collection, 9 * LONG_S + SOON_S))
    assert (name, listed) == ("desk", [] if is_whole else ["late_usage"])
    assert is_complete is (None if is_whole else False)


@pytest.mark.parametrize(
    ("late", "lost"),
    [
        (Sent(id=9, parent=1, flags=LOCAL, attributes=agent("nested")), 1),
        (Sent(id=9, parent=2, flags=LOCAL, attributes=agent("nested")), 1),
        (Sent(id=9, parent=1, flags=LOCAL, attributes={"agent.outcome.label": "done"}), 1),
        (Sent(id=9, parent=1, flags=LOCAL), 0),
        (Sent(id=9, parent=1, flags=LOCAL, attributes=chat(1)), 0),
        (Sent(id=1, attributes=agent("desk")), 0),
    ],
)
def test_what_is_lost_in_a_settled_run_is_counted(collection: Collection, late: Sent, lost: int) -> None:
    """An agent of it, or an outcome; its own span once more is nothing new."""
    come(collection, a_run(1), 0.0)
    assert runs(collection, SOON_S) == ["desk"]
    assert come(collection, [late], 30.0) == (0, 1, 0)
    assert collection.lost_count == lost


@pytest.mark.parametrize("stated", [agent("next"), {"agent.outcome.label": "done"}])
@pytest.mark.parametrize("steps", [0, 1])
def test_what_comes_late_below_no_run_is_one_of_its_own(
    collection: Collection, stated: dict[str, str | int], steps: int
) -> None:
    """A request that goes on in the background has more than one."""
    come(collection, [Sent(id=20, kind=SERVER), *a_run(1, parent=20, flags=LOCAL)], 0.0)
    assert runs(collection, SOON_S) == ["desk"]
    for step in range(steps):
        assert come(collection, [Sent(id=21 + step, parent=20 + step, flags=LOCAL)], 30.0) == (0, 1, 0)
    late = Sent(id=30, parent=20 + steps, flags=LOCAL, attributes=stated)
    assert come(collection, [late], 40.0) == (1, 0, 0)
    ((_, listed, _),) = told_of(settled(collection, 40.0 + SOON_S))
    assert listed == []


def settled(collection: Collection, at_s: float) -> list[Acceptance]:
    """The runs that are due, with what is known to be missing."""
    found: list[Acceptance] = []
    for part in taken(collection, at_s):
        around = Around(missed=collection.settled.missed.among(part.trace_id, part.spans))
        result = settle(part, lambda _: False, around)
        made = {each.run.span_id.to_bytes(8, "big"): each.run for each in result.acceptances}
        collection.settled.add(part).judge(made, [span.id for span in part.spans if span.id not in result.inside])
        found += result.acceptances
    return found


def told_of(acceptances: list[Acceptance]) -> list[tuple[str | None, list[str], bool | None]]:
    """Of each run the agent, the problems, and whether its cost is complete."""
    return [
        (each.run.agent_name, [str(one) for one in each.outcome.problems], each.run.cost.complete)
        for each in acceptances
    ]


def test_a_caller_that_comes_late_is_a_run_of_its_own(collection: Collection) -> None:
    """Though its callee has waited for it: it is another process's."""
    come(collection, [replace(span, resource=OTHER) for span in a_run(6, "stock", parent=5)], 0.0)
    assert runs(collection, LONG_S) == ["stock"]
    come(collection, [*a_run(1), Sent(id=5, parent=1, kind=CLIENT, flags=LOCAL)], LONG_S + 1)
    assert runs(collection, LONG_S + 1 + SOON_S) == ["desk"]


def test_a_trace_of_very_many_calls_remembers_them_all(collection: Collection) -> None:
    """One that lasts for days, as of a worker that never starts a new one."""
    for call in range(600):
        come(collection, a_run(2 * call + 10, parent=1, flags=REMOTE, kind=SERVER), 100.0 * call)
        assert runs(collection, 100.0 * call + SOON_S) == ["desk"]
    for call in range(0, 600, 37):
        assert come(collection, a_run(2 * call + 10, parent=1, flags=REMOTE, kind=SERVER), 1e6) == (0, 2, 0)


def test_what_came_before_its_late_parent_is_late(collection: Collection) -> None:
    """It was held in the hope of another one."""
    come(collection, a_run(1), 0.0)
    assert runs(collection, SOON_S) == ["desk"]
    assert come(collection, a_run(9, "lost", parent=8, flags=LOCAL), 10.0) == (2, 0, 0)
    assert come(collection, [Sent(id=8, parent=1, flags=LOCAL)], 12.0) == (0, 1, 0)
    assert runs(collection, 12.0 + LONG_S) == []


def test_agents_that_lost_one_parent_are_runs_each(collection: Collection) -> None:
    """As they are in a file without it."""
    come(collection, a_run(3, "one", parent=2, flags=LOCAL), 0.0)
    come(collection, a_run(5, "two", parent=2, flags=LOCAL), 1.0)
    assert sorted(map(str, runs(collection, 1.0 + LONG_S))) == ["one", "two"]


def test_each_call_of_a_service_is_a_run(collection: Collection) -> None:
    """Two calls of one trace, long after each other, in the same process."""
    for first, at_s in ((10, 0.0), (20, 40.0)):
        server = Sent(id=first, parent=first - 1, kind=SERVER, flags=REMOTE, resource=OTHER)
        spans = [replace(each, resource=OTHER) for each in a_run(first + 1, "stock", parent=first, flags=LOCAL)]
        come(collection, [server, *spans], at_s)
        assert runs(collection, at_s + SOON_S) == ["stock"]


@pytest.mark.parametrize("is_caller_first", [True, False])
def test_a_remote_callee_is_a_run_of_its_own(collection: Collection, is_caller_first: bool) -> None:  # noqa: FBT001
    """Whichever of the two settles first, and whatever kind the callee's span is."""
    caller = [*a_run(1, "desk"), Sent(id=5, parent=1, kind=CLIENT, flags=LOCAL)]
    callee = [replace(each, resource=OTHER) for each in a_run(6, "stock", parent=5, flags=REMOTE)]
    first, second = (caller, callee) if is_caller_first else (callee, caller)
    come(collection, first, 0.0)
    found = runs(collection, SOON_S)
    come(collection, second, SOON_S)
    found += runs(collection, 2 * SOON_S)
    assert sorted(map(str, found)) == ["desk", "stock"]


def test_a_part_that_was_no_run_does_not_keep_one_from_being_counted(collection: Collection) -> None:
    """Plain spans that lost their parent say nothing of the agent that comes."""
    come(collection, [Sent(id=3, parent=1, flags=LOCAL)], 0.0)
    assert runs(collection, LONG_S) == []
    come(collection, a_run(1), LONG_S)
    assert runs(collection, LONG_S + SOON_S) == ["desk"]


def test_beyond_what_may_be_held_the_oldest_settle_early() -> None:
    """By number, and by size."""
    for limits in (replace(LIMITS, traces_max=2), replace(LIMITS, held_max_bytes=3000)):
        collection = Collection(limits)
        for number in range(5):
            trace = f"{number + 1:032x}"
            come(collection, [replace(each, trace=trace) for each in a_run(1, f"agent {number}")], 0.0)
        early = [due for trace in collection.take_due(0.1) for due in trace.parts]
        assert [each.is_early for each in early] == [True] * len(early)
        assert [each.run.agent_name for each in accepted(due.part for due in early)] == [
            "agent 0",
            "agent 1",
            "agent 2",
        ]
        assert len(collection.held) == 2
        assert len(runs(collection, SOON_S)) == 2


def test_what_is_no_agent_goes_before_any_agent_settles_early() -> None:
    """However much of it there is, and though it came last."""
    collection = Collection(replace(LIMITS, traces_max=2))
    come(collection, a_run(1), 0.0)
    for number in range(2, 10):
        come(collection, [Sent(id=1, trace=f"{number:032x}")], 0.1)
    assert taken(collection, 0.2) == []
    assert len(collection.held) == 2
    assert runs(collection, SOON_S) == ["desk"]
    assert taken(collection, LONG_S) == []
    assert len(collection.held) == collection.held.span_count == collection.held.size_bytes == 0


def test_plain_spans_are_part_of_the_run_that_comes_after_them(collection: Collection) -> None:
    """A step of the application between an agent and what it calls."""
    step, call = Sent(id=2, parent=1, flags=LOCAL), Sent(id=3, parent=2, flags=LOCAL, attributes=chat(10))
    assert come(collection, [step], 0.0) == (1, 0, 0)
    come(collection, [step], 1.0)
    come(collection, [call], 2.0)
    come(collection, [Sent(id=1, attributes=agent("desk"))], 30.0)
    (run,) = accepted(taken(collection, 30.0 + SOON_S))
    assert run.run.usage.input_tokens == 10


@settings(max_examples=150, deadline=None)
@given(st.integers())
def test_any_division_comes_to_the_same(seed: int) -> None:
    """Any order, any requests, any repetition, with the process killed and started again at any moment."""
    chance = random.Random(seed)
    lost = chance.choice([0.0, 0.0, 0.2])
    text = "\n".join(span.line() for span in forest(chance) if chance.random() >= lost)
    pieces = pieces_of(text)
    if not pieces:
        return
    whole = Collection(LIMITS)
    whole.add(frame_traces(b"".join(pieces)), b"".join(pieces), 1, 0.0)
    expected = told(accepted(taken(whole, 1e4)))
    collection, journal, decided = Collection(LIMITS), [], []
    for body in divided(pieces, chance):
        collection.add(frame_traces(body), body, 1, 0.0)
        journal.append(body)
        if chance.random() < 0.2:
            collection = restarted(journal)
    found = taken(collection, 1e4)
    if chance.random() < 0.5:
        # Killed after the marks were written: what was decided is found again, and nothing beside it.
        plain = [part for part in found if not part.may_hold_agents]
        groups = [*together(part for part in found if part.may_hold_agents), *((part,) for part in plain)]
        marks = [read_mark(encode_mark(mark_of(parts, ()))) for parts in groups]
        collection = restarted(journal)
        decided = [due.part for mark in marks for due in collection.restore(mark).parts]
        found = [*decided, *taken(collection, 1e4)]
        assert len(found) == len(decided) == sum(map(len, groups))
        assert [shape_of(part) for part in decided] == [shape_of(part) for parts in groups for part in parts]
    assert told(accepted(found)) == expected


def shape_of(part: TracePart) -> tuple[object, ...]:
    """What is known of a part beside its spans."""
    return part.trace_id, part.top.id, [span.id for span in part.spans], part.is_whole, part.is_lost


def restarted(journal: list[bytes]) -> Collection:
    collection = Collection(LIMITS)
    for body in journal:
        collection.add(frame_traces(body), body, 1, 0.0)
    return collection


def test_limits_are_those_of_the_settings() -> None:
    """Whoever sets them to nothing has everything settle at once."""
    collection = Collection(AssemblyLimits(settle_after_s=0.0, idle_after_s=0.0))
    come(collection, a_run(5, parent=1, flags=LOCAL), 3.0)
    assert runs(collection, 3.0) == ["desk"]


def problems(parts: Sequence[TracePart]) -> dict[str | None, list[str]]:
    """The problems of each run."""
    return {each.run.agent_name: [str(one) for one in each.outcome.problems] for each in accepted(parts)}


LOST_CALL = Sent(id=9, parent=8, flags=LOCAL, attributes=chat(5), start_us=300, end_us=400)


def test_a_whole_run_waits_for_what_may_be_part_of_it(collection: Collection) -> None:
    """If the span between comes, all is counted, at once; the call came before it, as such spans do."""
    come(collection, [*a_run(1), LOST_CALL], 0.0)
    assert taken(collection, LONG_S - 1) == []
    come(collection, [Sent(id=8, parent=1, flags=LOCAL, start_us=200, end_us=500)], LONG_S - 1)
    (run,) = accepted(taken(collection, LONG_S - 1 + SOON_S))
    assert (run.run.usage.input_tokens, run.outcome.problems) == (15, ())


def test_what_lacks_a_span_settles_with_the_run_around_it(collection: Collection) -> None:
    """When nothing comes any more the run is not said to be whole."""
    come(collection, [*a_run(1), LOST_CALL], 0.0)
    assert problems(taken(collection, LONG_S)) == {"desk": ["late_usage"]}


def test_nothing_is_taken_from_a_run_that_is_still_at_work(collection: Collection) -> None:
    """Two calls of one process in one trace, at once: what came of the one says nothing of the other in the end."""
    at_work = [Sent(id=number, parent=20, flags=LOCAL, attributes=chat(1)) for number in (21, 22)]
    come(collection, [*a_run(1, "first", parent=50, flags=REMOTE, kind=SERVER), *at_work], 0.0)
    assert taken(collection, LONG_S - 1) == []
    come(collection, a_run(20, "second", parent=51, flags=REMOTE, kind=SERVER)[:1], LONG_S - 1)
    assert problems(taken(collection, LONG_S - 1 + SOON_S)) == {"first": [], "second": []}


def test_what_starts_after_a_run_keeps_it_waiting_no_longer(collection: Collection) -> None:
    """The next call in the same trace."""
    come(collection, [*a_run(1), replace(LOST_CALL, start_us=1001, end_us=2000)], 0.0)
    assert problems(taken(collection, SOON_S)) == {"desk": []}


def test_an_agent_that_lacks_a_span_is_a_run_in_doubt(collection: Collection) -> None:
    """So is the one around it, and neither is another process's."""
    inner = [replace(span, start_us=300, end_us=400) for span in a_run(11, "inner", parent=8, flags=LOCAL)]
    come(collection, [*a_run(1), *inner], 0.0)
    assert problems(taken(collection, LONG_S)) == {
        "desk": ["parent_not_seen", "late_usage"],
        "inner": ["parent_not_seen"],
    }
    come(collection, [replace(each, trace=f"{7:032x}") for each in a_run(1)], LONG_S)
    come(collection, [replace(each, trace=f"{7:032x}", resource=OTHER) for each in inner], LONG_S)
    assert problems(taken(collection, LONG_S + SOON_S)) == {"desk": []}
    assert problems(taken(collection, 2 * LONG_S)) == {"inner": []}


STRANGE = {
    "no key": KeyValue(key="", value=AnyValue(string_value="x")),
    "map": KeyValue(key="x", value=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="y")]))),
    "several types": KeyValue(
        key="x", value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="x")]))
    ),
    "list of lists": KeyValue(
        key="x", value=AnyValue(array_value=ArrayValue(values=[AnyValue(array_value=ArrayValue())]))
    ),
    "bytes": KeyValue(key="x", value=AnyValue(bytes_value=b"\xff")),
    "list of bytes": KeyValue(
        key="x", value=AnyValue(array_value=ArrayValue(values=[AnyValue(bytes_value=each) for each in (b"x", b"\xff")]))
    ),
    "nothing": KeyValue(key="x"),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("place", ["span", "event", "link", "scope", "resource"])
def test_attributes_that_the_sdk_does_not_take_fill_no_log(
    collection: Collection, caplog: pytest.LogCaptureFixture, strange: KeyValue, place: str
) -> None:
    """Whoever may send spans may not write a line for each of them; the run is counted as ever."""
    request = TracesData()
    resource = request.resource_spans.add()
    scope = resource.scope_spans.add()
    span = scope.spans.add(trace_id=bytes([1] * 16), span_id=bytes([2] * 8), name="invoke_agent desk")
    span.attributes.add(key="gen_ai.operation.name", value=AnyValue(string_value="invoke_agent"))
    span.attributes.add(key="gen_ai.agent.name", value=AnyValue(string_value="desk"))
    event, link = span.events.add(name="exception"), span.links.add(trace_id=bytes([3] * 16), span_id=bytes([4] * 8))
    places = {
        "span": span.attributes,
        "event": event.attributes,
        "link": link.attributes,
        "scope": scope.scope.attributes,
        "resource": resource.resource.attributes,
    }
    places[place].append(strange)
    body = request.SerializeToString()
    collection.add(frame_traces(body), body, 1, 0.0)
    assert runs(collection, LIMITS.settle_after_s) == ["desk"]
    assert caplog.messages == []

# SPDX-License-Identifier: Apache-2.0
"""Which spans tell of one call, and that a log of many calls finds the same as one of few."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import SpanLimits
from agent_outcomes.run.call_log import CALLS_MAX, CallLog
from agent_outcomes.run.call_reading import mark_reply, note_call
from agent_outcomes.run.calls import Call, CallKind, Sameness, contradict, merged, plain_model, sameness, sameness_below
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.leaves import Shapes
from agent_outcomes.run.tally import Tally, cost_of, problems_of, totals_of
from agent_outcomes.run.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

ONE = Call(
    CallKind.CHAT,
    (100, 10, None, None, None),
    models=frozenset({"atlas-2"}),
    scopes=frozenset({"framework"}),
    start_ns=100,
    end_ns=200,
)
OTHER = ONE._replace(scopes=frozenset({"sdk"}), start_ns=110, end_ns=190)
SILENT: dict[str, Any] = {"tokens": (None,) * 5}
FAILED = {**SILENT, "has_failed": True}
WAITS = {**SILENT, "lacks_usage": True}
REPLY = {"kind": CallKind.UNMARKED, "is_reply": True, "scopes": ONE.scopes, "start_ns": 300, "end_ns": 300}
R1, R2 = frozenset({"r-1"}), frozenset({"r-2"})
LAYERED = {"scopes": frozenset({"openinference.instrumentation.llama_index"})}
SAME_SCOPE = {"scopes": ONE.scopes}
LATER: dict[str, Any] = {"start_ns": 300, "end_ns": 400}

ROWS: list[tuple[str, dict[str, Any], dict[str, Any], Sameness]] = [
    ("an interval within the other's", {}, {}, Sameness.ONE),
    ("an interval around the other's", {}, {"start_ns": 50, "end_ns": 250}, Sameness.ONE),
    ("the very interval", {}, {"start_ns": 100, "end_ns": 200}, Sameness.ONE),
    ("a dated name of the model", {}, {"models": frozenset({"atlas-2-2026-05-01"})}, Sameness.ONE),
    ("a model that is not named", {"models": frozenset()}, {}, Sameness.ONE),
    ("another model", {}, {"models": frozenset({"birch"})}, Sameness.TWO),
    ("other tokens", {}, {"tokens": (100, 11, None, None, None)}, Sameness.TWO),
    ("no tokens", {"tokens": (None,) * 5}, {"tokens": (None,) * 5}, Sameness.TWO),
    ("no tokens, the outer failed", FAILED, SILENT, Sameness.ONE),
    ("no tokens, the inner failed: an attempt", SILENT, FAILED, Sameness.TWO),
    ("both failed", FAILED, FAILED, Sameness.ONE),
    ("both failed, the very interval", FAILED, {**FAILED, "start_ns": 100, "end_ns": 200}, Sameness.ONE),
    ("both failed, one within a call around a tool", {**FAILED, "encloses": True}, FAILED, Sameness.TWO),
    ("both failed, another model", FAILED, {**FAILED, "models": frozenset({"birch"})}, Sameness.TWO),
    ("both failed, a model that is not named", FAILED, {**FAILED, "models": frozenset()}, Sameness.TWO),
    ("both failed, the same scope", FAILED, {**FAILED, **SAME_SCOPE}, Sameness.TWO),
    ("both failed, a later interval", FAILED, {**FAILED, **LATER}, Sameness.TWO),
    ("both failed, intervals that overlap", FAILED, {**FAILED, "start_ns": 150, "end_ns": 250}, Sameness.TWO),
    ("both failed, no times", FAILED, {**FAILED, "start_ns": None}, Sameness.TWO),
    ("both failed, two ids", {**FAILED, "ids": R1}, {**FAILED, "ids": R2}, Sameness.TWO),
    ("both failed, a chat and an embedding", FAILED, {**FAILED, "kind": CallKind.EMBEDDING}, Sameness.TWO),
    ("a reply to a call that waits for one", WAITS, REPLY, Sameness.ONE),
    ("a reply to a call of another scope", WAITS, {**REPLY, "scopes": frozenset({"sdk"})}, Sameness.TWO),
    ("a reply to a call of another model", WAITS, {**REPLY, "models": frozenset({"birch"})}, Sameness.TWO),
    ("a reply to a call that failed", {**WAITS, "has_failed": True}, REPLY, Sameness.TWO),
    ("a reply to a call that tells its usage", {}, {**REPLY, "tokens": (7, 7, None, None, None)}, Sameness.TWO),
    ("the same scope", {}, SAME_SCOPE, Sameness.TWO),
    ("a later interval", {}, LATER, Sameness.TWO),
    ("an earlier interval", {}, {"start_ns": 1, "end_ns": 100}, Sameness.TWO),
    ("intervals that overlap", {}, {"start_ns": 150, "end_ns": 250}, Sameness.DOUBTFUL_TWO),
    ("no times", {}, {"start_ns": None}, Sameness.DOUBTFUL_TWO),
    ("two ids", {"ids": R1}, {"ids": R2}, Sameness.DOUBTFUL_TWO),
    ("an id on one side", {"ids": R1}, {}, Sameness.ONE),
    ("within a call around a tool", {"encloses": True}, {}, Sameness.DOUBTFUL_TWO),
    ("one id", {"ids": R1}, {"ids": R1, **LATER}, Sameness.ONE),
    ("one id, other tokens", {"ids": R1}, {"ids": R1, "tokens": (7, 7, None, None, None)}, Sameness.ONE),
    ("one id of one scope, later", {"ids": R1}, {"ids": R1, **LATER, **SAME_SCOPE}, Sameness.DOUBTFUL_ONE),
    (
        "one id of one scope, later, other tokens",
        {"ids": R1},
        {"ids": R1, **LATER, **SAME_SCOPE, "tokens": (7, 7, None, None, None)},
        Sameness.DOUBTFUL_TWO,
    ),
    ("a chat and an embedding", {}, {"kind": CallKind.EMBEDDING}, Sameness.TWO),
    ("a span without a mark", {}, {"kind": CallKind.UNMARKED, **LATER, **SAME_SCOPE}, Sameness.DOUBTFUL_ONE),
    ("the total of an agent", {}, {"kind": CallKind.TOTAL, "scopes": frozenset()}, Sameness.DOUBTFUL_TWO),
    ("two totals", {"kind": CallKind.TOTAL}, {"kind": CallKind.TOTAL}, Sameness.TWO),
]


@pytest.mark.parametrize(("one", "other", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_sameness(one: Mapping[str, Any], other: Mapping[str, Any], expected: Sameness) -> None:
    """Each row, in both orders."""
    first, second = ONE._replace(**one), OTHER._replace(**other)
    assert (sameness(first, second), sameness(second, first)) == (expected, expected)


LARGER: dict[str, Any] = {"tokens": (700, 60, None, None, None)}
SMALLER: dict[str, Any] = {"tokens": (7, 6, None, None, None)}
BIRCH = {"models": frozenset({"birch"})}
CHAT = {"words": frozenset({"chat"})}
LOST = {**SILENT, "lacks_usage": True}
BELOW_ROWS: list[tuple[str, dict[str, Any], dict[str, Any], Sameness]] = [
    ("the SDK's span of a framework's call", {}, {}, Sameness.ONE),
    ("of another model, as an alias is", {}, BIRCH, Sameness.ONE),
    ("with ids of both", {"ids": R1}, {"ids": R2}, Sameness.ONE),
    ("one id, whatever the figures", {"ids": R1}, {"ids": R1, **LARGER, **SAME_SCOPE}, Sameness.ONE),
    ("larger", {}, LARGER, Sameness.DOUBTFUL_ONE),
    ("smaller", {}, SMALLER, Sameness.DOUBTFUL_ONE),
    ("larger, of another model", {}, {**LARGER, **BIRCH}, Sameness.DOUBTFUL_TWO),
    ("smaller, with ids of both", {"ids": R1}, {**SMALLER, "ids": R2}, Sameness.DOUBTFUL_TWO),
    ("with what is cached", {}, {"tokens": (150, 10, 30, 20, None)}, Sameness.ONE),
    ("without what is reasoned", {"tokens": (100, 14, None, None, 4)}, {}, Sameness.ONE),
    ("with more than what is cached", {}, {"tokens": (151, 10, 30, 20, None)}, Sameness.DOUBTFUL_ONE),
    ("one figure alone", {}, {"tokens": (None, 10, None, None, None)}, Sameness.ONE),
    ("silent outside", LOST, {}, Sameness.ONE),
    ("silent outside, of another model", LOST, BIRCH, Sameness.DOUBTFUL_ONE),
    ("silent inside, of another model", {}, {**LOST, **BIRCH}, Sameness.DOUBTFUL_ONE),
    ("both silent, of another model", LOST, {**LOST, **BIRCH}, Sameness.ONE),
    ("failed outside, of another model", FAILED, BIRCH, Sameness.ONE),
    ("one scope, two ids", {"ids": R1}, {"ids": R2, **SAME_SCOPE}, Sameness.TWO),
    ("one scope, two ids, larger", {"ids": R1}, {"ids": R2, **SAME_SCOPE, **LARGER}, Sameness.TWO),
    ("one scope, two ids, silent outside", {"ids": R1, **LOST}, {"ids": R2, **SAME_SCOPE}, Sameness.TWO),
    ("one scope, two models, larger", {}, {**BIRCH, **SAME_SCOPE, **LARGER}, Sameness.TWO),
    ("one scope, two models, silent inside", {}, {**BIRCH, **SAME_SCOPE, **LOST}, Sameness.TWO),
    ("one scope, two models of equal figures: a router", {}, {**BIRCH, **SAME_SCOPE}, Sameness.DOUBTFUL_TWO),
    ("one scope, equal figures", CHAT, {**CHAT, **SAME_SCOPE}, Sameness.DOUBTFUL_ONE),
    ("one scope, equal figures, no words", {}, SAME_SCOPE, Sameness.DOUBTFUL_ONE),
    ("one scope, equal figures, another word", {}, {**CHAT, **SAME_SCOPE}, Sameness.ONE),
    ("one scope, equal figures, an id inside", CHAT, {**CHAT, **SAME_SCOPE, "ids": R1}, Sameness.ONE),
    ("one scope, equal figures, a step", {}, {**SAME_SCOPE, "kind": CallKind.UNMARKED}, Sameness.ONE),
    ("layers of one scope", {**CHAT, **LAYERED}, {**CHAT, **LAYERED}, Sameness.ONE),
    ("layers of one scope, other ids", {**LAYERED, "ids": R1}, {**LAYERED, "ids": R2}, Sameness.TWO),
    ("one scope, larger", CHAT, {**CHAT, **SAME_SCOPE, **LARGER}, Sameness.DOUBTFUL_ONE),
    ("one scope, silent outside", LOST, SAME_SCOPE, Sameness.ONE),
    ("one scope, silent around a tool", {**LOST, "encloses": True}, SAME_SCOPE, Sameness.DOUBTFUL_ONE),
    ("one scope without a name", {"scopes": frozenset({""})}, {**BIRCH, "scopes": frozenset({""})}, Sameness.ONE),
]


@pytest.mark.parametrize(
    ("one", "other", "expected"), [row[1:] for row in BELOW_ROWS], ids=[row[0] for row in BELOW_ROWS]
)
def test_sameness_below(one: Mapping[str, Any], other: Mapping[str, Any], expected: Sameness) -> None:
    """What is right below a call is mostly the call, unless ids, models or figures of one scope say something else."""
    assert sameness_below(ONE._replace(**one), OTHER._replace(**other)) is expected


COUNTS = st.sampled_from([None, 0, 3, 5, 8])
CALLS = st.builds(
    Call,
    st.sampled_from([CallKind.CHAT, CallKind.UNMARKED]),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    ids=st.frozensets(st.sampled_from(["r-1", "r-2", "r-3"]), max_size=1),
    models=st.frozensets(st.sampled_from(["atlas-2", "birch"]), max_size=1),
    scopes=st.frozensets(st.sampled_from(["framework", "sdk"]), min_size=1, max_size=1),
    lacks_usage=st.booleans(),
    words=st.frozensets(st.sampled_from(["chat", "LLM"]), max_size=1),
)


@given(outer=CALLS, inner=CALLS)
def test_two_ids_or_models_of_one_scope_are_never_plainly_one(outer: Call, inner: Call) -> None:
    """Nor are figures that differ, of any scope; one id always is."""
    found = sameness_below(outer, inner)
    if outer.ids & inner.ids:
        assert found is Sameness.ONE
        return
    both_speak = any(outer.counts) and any(inner.counts)
    is_one_scope = outer.scopes == inner.scopes
    names_others = bool(outer.ids and inner.ids) or bool(outer.models and inner.models and outer.models != inner.models)
    if is_one_scope and names_others:
        assert found in (Sameness.TWO, Sameness.DOUBTFUL_TWO)
    if both_speak and found is Sameness.ONE:
        parts = [count or 0 for call in (outer, inner) for count in call.tokens[2:]]
        gaps = [abs(a - b) for a, b in zip(outer.counts, inner.counts, strict=True) if a is not None and b is not None]
        assert max(gaps, default=0) <= sum(parts)


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_that_is_read_again_is_one_whatever_it_has_come_to(order: int) -> None:
    """What it reports grows until it has ended; the same id on other spans of one scope leaves a doubt."""
    read: dict[str, Any] = {"ids": R1, "kind": CallKind.UNMARKED, "is_read_again": True}
    first, second = [ONE._replace(**read), ONE._replace(**read, **LARGER, **LATER)][::order]
    assert sameness(first, second) is Sameness.ONE
    assert not contradict(first, second)
    assert merged(first, second).tokens == LARGER["tokens"]
    again = second._replace(is_read_again=False)
    assert sameness(first, again) is Sameness.DOUBTFUL_TWO


def test_a_cost_of_0_is_a_placeholder_beside_figures_of_the_other_span() -> None:
    """Unless it is stated, as that of an answer out of a cache is, or the span has the tokens itself."""
    free = ONE._replace(**SILENT, reported={"USD": Decimal(0)})
    priced = OTHER._replace(computed={"USD": Decimal(2)})
    for pair in ((free, priced), (priced, free)):
        assert (merged(*pair).reported, contradict(*pair)) == (None, False)
    assert merged(priced, free).computed == {"USD": Decimal(2)}
    assert merged(free._replace(has_stated_cost=True), priced).reported == {"USD": Decimal(0)}
    assert merged(free._replace(tokens=ONE.tokens), priced).reported == {"USD": Decimal(0)}
    assert merged(free, OTHER._replace(**SILENT)).reported == {"USD": Decimal(0)}


@pytest.mark.parametrize(
    ("name", "plain"), [("openai/GPT-4o", "gpt-4o"), ("gpt-4o", "gpt-4o"), ("a/b/c", "c"), ("", ""), ("x/", "")]
)
def test_plain_model(name: str, plain: str) -> None:
    """Gateways put the provider in front."""
    assert plain_model(name) == plain


def test_merged() -> None:
    """The larger figure of each sort stands, a reported cost before a computed one."""
    one = ONE._replace(computed={"USD": Decimal(1)}, ids=R1)
    other = OTHER._replace(tokens=(90, 20, 5, None, None), reported={"USD": Decimal(2)}, ids=R2)
    both = merged(one, other)
    assert both.tokens == (100, 20, 5, None, None)
    assert (both.reported, both.computed) == ({"USD": Decimal(2)}, None)
    assert (both.ids, both.scopes, both.start_ns, both.end_ns) == (R1 | R2, ONE.scopes | OTHER.scopes, 100, 200)


def test_a_cut_id_is_none() -> None:
    """Ids that a limit may have cut name several responses."""
    attributes = {"gen_ai.response.id": "chatcmpl", "gen_ai.request.model": "atlas"}
    tally = Tally()
    note_call(tally, attributes, Role.MODEL, SpanLimits(8))
    assert tally.calls is not None
    (call,) = tally.calls.listed()
    assert (call.ids, call.models) == (frozenset[str](), frozenset({"atlas"}))


def test_the_log_is_bounded() -> None:
    """Of many calls the last ones are remembered, and the sums have them all."""
    whole = Tally()
    for number in range(3 * CALLS_MAX):
        whole.add(_call({"gen_ai.usage.input_tokens": 1, "gen_ai.response.id": f"r-{number}"}, "sdk"))
    whole.add(_call({"gen_ai.usage.input_tokens": 1, "gen_ai.response.id": f"r-{3 * CALLS_MAX - 1}"}, "framework"))
    assert whole.calls is not None
    assert whole.calls.size == CALLS_MAX
    assert (whole.tokens[0], whole.model_calls) == (3 * CALLS_MAX, 3 * CALLS_MAX)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "gen_ai.usage.input_tokens": st.sampled_from([0, 5, 6, -1, 2**53, "5"]),
    "gen_ai.usage.output_tokens": st.sampled_from([0, 7]),
    "gen_ai.usage.cost": st.sampled_from([0.0, 0.25, "0.1", 3]),
    "gen_ai.response.id": st.sampled_from(["a", "b", "c", "", 5]),
    "gen_ai.request.model": st.sampled_from(["m", "n", 5]),
}
SPANS = st.lists(
    st.tuples(
        st.sampled_from(["chat", "embeddings", "execute_tool"]),
        st.sampled_from(["sdk", "framework"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sets(st.sampled_from(sorted(VALUES))).flatmap(
            lambda keys: st.fixed_dictionaries({k: VALUES[k] for k in keys})
        ),
    ),
    max_size=12,
)
ROLES = {"chat": Role.MODEL, "embeddings": Role.MODEL, "execute_tool": Role.TOOL}


@given(SPANS)
def test_leaves_add_up_as_spans_do(spans: list[tuple[str, str, int, int, dict[str, Any]]]) -> None:
    """The short way for spans of one shape gives what reading each by itself gives, duplicates included."""
    shapes = Shapes()
    for word in ROLES:
        spans = sorted(spans, key=lambda span: (span[0], sorted(span[4])))
        one_by_one, by_shape = Tally(), Tally()
        leaves: dict[Any, list[tuple[Any, ...]]] = {}
        for operation, scope, start_ns, lasts_ns, attributes in spans:
            if operation != word:
                continue
            given_attributes = {"gen_ai.operation.name": operation, **attributes}
            one_by_one.add(_call(given_attributes, scope, start_ns, start_ns + lasts_ns, ROLES[operation]))
            names = tuple(given_attributes)
            shapes.note(names)
            shapes.note(names)
            shape = shapes.get(names)
            assert shape is not None
            plan = shape.plans[operation]
            tail = (scope, start_ns, start_ns + lasts_ns) if plan.is_call else ()
            leaves.setdefault(plan, []).append((plan, plan.values(given_attributes), *tail))
        for plan, found in leaves.items():
            plan.add_to(by_shape, found)
        assert totals_of(by_shape) == totals_of(one_by_one)
        assert cost_of(by_shape, open_below=False).parts == cost_of(one_by_one, open_below=False).parts
        assert (by_shape.silent, by_shape.unpriced) == (one_by_one.silent, one_by_one.unpriced)
        assert set(problems_of(by_shape)) == set(problems_of(one_by_one))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["sdk", "framework"]))), st.data())
def test_grouping_does_not_matter(calls: list[tuple[str, str]], data: Any) -> None:
    """Calls with ids count once each, in whatever groups they are added."""
    straight, grouped = Tally(), Tally()
    spans = [
        _call({"gen_ai.response.id": name, "gen_ai.usage.input_tokens": ord(name)}, scope) for name, scope in calls
    ]
    for span in spans:
        straight.add(span)
    while spans:
        size = data.draw(st.integers(1, len(spans)))
        group = Tally()
        for span in spans[:size]:
            group.add(span)
        grouped.add(group)
        del spans[:size]
    names = {name for name, _ in calls}
    assert straight.tokens == grouped.tokens
    assert (straight.tokens[0] or 0) == sum(map(ord, names))
    assert straight.model_calls == grouped.model_calls == len(names)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["m", "vendor/m", "n"]), st.booleans(), st.booleans())),
    st.randoms(use_true_random=False),
)
def test_calls_that_failed_count_once(tries: list[tuple[int, str, bool, bool]], random: Any) -> None:
    """Each attempt as often as one instrumentation has seen it, however many others are around it or within."""
    whole, spans, now_ns = Tally(), [], 0
    for attempts, model, is_framework_on, knows_failure in tries:
        started_ns = now_ns
        for _ in range(attempts):
            spans.append(_failed(model, "sdk", now_ns + 1, now_ns + 2, knows_failure=knows_failure))
            now_ns += 2
        if is_framework_on:
            spans.append(_failed(model, "framework", started_ns, now_ns))
    random.shuffle(spans)
    for span in spans:
        whole.add(span)
    assert whole.model_calls == whole.silent == whole.unpriced == sum(attempts for attempts, *_ in tries)
    assert not whole.mismatch


@given(st.lists(st.booleans(), max_size=12), st.randoms(use_true_random=False))
def test_each_reply_is_one_call_s(replied: list[bool], random: Any) -> None:
    """In any order; what has no reply stays missing."""
    spans: list[Tally] = []
    for number, has_reply in enumerate(replied):
        attributes: dict[str, Any] = {"gen_ai.request.model": "m"}
        spans.append(_call(attributes, "client", 10 * number, 10 * number + 1))
        if has_reply:
            attributes["gen_ai.usage.input_tokens"] = 7 + number
            reply = _call(attributes, "client", 10 * number + 5, 10 * number + 5, Role.OTHER)
            mark_reply(reply)
            spans.append(reply)
    random.shuffle(spans)
    whole = Tally()
    for span in spans:
        whole.add(span)
    assert (whole.tokens[0] or 0) == sum(7 + number for number, has_reply in enumerate(replied) if has_reply)
    assert (whole.model_calls, whole.silent) == (len(replied), replied.count(False))
    assert whole.missing == whole.silent


def _failed(model: str, scope: str, start_ns: int, end_ns: int, *, knows_failure: bool = True) -> Tally:
    attributes = {"gen_ai.request.model": model}
    tally = read_usage(attributes, Role.MODEL)
    assert tally is not None
    note_call(tally, attributes, Role.MODEL, scope=scope, start_ns=start_ns, end_ns=end_ns, has_failed=knows_failure)
    return tally


def _call(
    attributes: Mapping[str, Any], scope: str, start_ns: int = 0, end_ns: int = 1, role: Role = Role.MODEL
) -> Tally:
    tally = read_usage(attributes, role)
    assert tally is not None
    tally.note_missing()
    note_call(tally, attributes, role, scope=scope, start_ns=start_ns, end_ns=end_ns)
    return tally


def test_an_empty_log() -> None:
    """A log of nothing is apart from everything."""
    log = CallLog()
    assert log.admit(CallLog()) == ([], False)
    assert log.admit(CallLog.of([ONE])) == ([], False)
    assert log.listed() == [ONE]

# SPDX-License-Identifier: Apache-2.0
"""The settling rule as a state machine: any order of starts, marks and ends against a plain model of the design."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from agent_outcomes.sdk.span_callbacks import ORPHAN, SpanCallbacks
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.spans.tracker import RunTracker
from tests.sizes import a_fifth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.semconv import ProblemKind

GENAI_SCOPE = "openinference.instrumentation.langchain"
LEAKING_SCOPE = "openinference.instrumentation.smolagents"
SCOPES = ("app", GENAI_SCOPE, LEAKING_SCOPE)
KIND = "openinference.span.kind"
LEAVES_MAX = 50


class Feed(SpanProcessor):
    """Gives a tracker every span of a real provider and keeps what settled."""

    def __init__(self) -> None:
        self.problems: list[ProblemKind] = []
        self.settled: list[Settlement] = []
        self.tracker = RunTracker(facts_of=SpanReader, on_problem=self.problems.append, on_wait=lambda: None)
        self.callbacks = SpanCallbacks(self.tracker)

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.callbacks.start(span) is ORPHAN:
            self.callbacks.look_beyond(span, parent_context)
        self.settled += self.tracker.take_settled()

    def on_end(self, span: ReadableSpan) -> None:
        self.callbacks.end(span)
        self.settled += self.tracker.take_settled()


@dataclass
class Waiting:
    """An agent that waits for an outer span."""

    leaves: set[int]
    is_marked: bool


@dataclass(eq=False)
class Node:
    """A span as the model sees it; `leaves` are those that ended below it and belong to no run yet.

    `after` is the failed one above that it started below, `late` the leaves of those that started so below it.
    """

    span: Any
    parent: Node | None
    is_edge: bool
    may_become: bool
    leaks: bool = False
    leaf: int | None = None
    is_open: bool = True
    is_marked: bool = False
    states_outcome: bool = False
    was_agent: bool = False
    settled_below: bool = False
    has_failed: bool = False
    given_up: bool = False
    after: Node | None = None
    leaves: set[int] = field(default_factory=set)
    late: set[int] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def is_agent(self) -> bool:
        return self.is_marked or self.states_outcome

    def began_below(self) -> Iterator[Node]:
        node = self.after
        while node is not None:
            yield node
            node = node.after

    def path(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


class Model:
    """The design's words, one after the other; `runs` are the sets of leaves of the runs that have settled."""

    def __init__(self) -> None:
        self.runs: list[set[int]] = []
        self.open: list[Node] = []
        self.started: list[Node] = []

    def start(self, node: Node, *, is_step: bool) -> None:
        above = node.parent
        if above is not None:
            node.after = above.after
            if above.leaks and above.has_failed and above.is_open:
                node.after = above.after if node.leaks and is_step else above
        self.open.append(node)
        self.started.append(node)
        if node.is_agent:
            self.give_up_before(node)

    def end(self, node: Node) -> None:
        """A span's own end: what failed below it and is open still will not end any more."""
        if node.given_up:
            return
        for other in reversed(self.open.copy()):
            if other is not node and other.leaks and other.has_failed and node in other.path():
                self.give_up_below(other)
                self.give_up(other)
        if node.is_marked or any(waiting.is_marked for waiting in node.waiting):
            self.give_up_before(node)
        self.close(node)

    def give_up_before(self, node: Node) -> None:
        for failed in [failed for failed in node.began_below() if failed.is_open]:
            self.give_up_below(failed)
            self.give_up(failed)

    def give_up_below(self, node: Node) -> None:
        """What failed in it, but for what began below it after it had failed."""
        for other in reversed(self.open.copy()):
            is_within = node is not other and node in other.path() and node not in other.began_below()
            if is_within and other.leaks and other.has_failed:
                self.give_up(other)

    def give_up(self, node: Node) -> None:
        """What began below it after it had failed hangs from what is above; then it ends, whatever comes later.

        That holds for what has ended since, too: others may still begin below it.
        """
        if not (node.is_open and node.is_agent):
            return
        for other in self.started:
            if other.after is node:
                other.after = node.after
                other.parent = node.parent if other.parent is node else other.parent
        self.fold(node.late, node.parent)
        node.late = set()
        node.given_up = True
        self.close(node)

    def close(self, node: Node) -> None:
        node.is_open = False
        self.open.remove(node)
        own = node.late if node.leaf is None else {*node.late, node.leaf}
        if node.is_agent and not node.settled_below:
            node.was_agent = True
            # What spans below have that go on after it belongs to it, as far as it is there by now.
            for other in self.open:
                if node in other.path():
                    node.leaves |= other.leaves
                    other.leaves = set()
            leaves = node.leaves.union(own, *(waiting.leaves for waiting in node.waiting))
            self.place(Waiting(leaves, node.is_marked), node.parent)
            return
        # No agent, or one that ended agent-like after a run below it: what waited for it goes further up.
        for candidate in node.waiting:
            self.place(candidate, node.parent)
        late = node.after if not node.is_agent else None
        self.fold(node.leaves | own, node.parent, late_below=late)

    def place(self, candidate: Waiting, parent: Node | None) -> None:
        above = list(parent.path()) if parent is not None else []
        for node in above:
            if node.was_agent or (node.is_open and node.is_agent and not node.settled_below):
                self.fold(candidate.leaves, parent)
                return
        for node in above:
            if node.is_open and node.may_become and not node.is_edge and not node.settled_below:
                node.waiting.append(candidate)
                return
        self.runs.append(candidate.leaves)
        for node in above:
            node.settled_below = node.settled_below or node.is_open

    @staticmethod
    def fold(leaves: set[int], parent: Node | None, late_below: Node | None = None) -> None:
        nearest = next((node for node in (parent.path() if parent is not None else ()) if node.is_open), None)
        if nearest is not None and nearest is late_below:
            nearest.late |= leaves
        elif nearest is not None:
            nearest.leaves |= leaves


class Settling(RuleBasedStateMachine):
    """Spans start below any other, are marked as agents or failed at any time and end in any order, or never."""

    nodes = Bundle("nodes")

    def __init__(self) -> None:
        super().__init__()
        self.feed = Feed()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self.feed)
        self.tracers = {name: provider.get_tracer(name) for name in SCOPES}
        self.model = Model()
        self.leaf_count = 0

    def _start(self, parent: Node | None, scope: str, kind: SpanKind, attributes: dict[str, Any]) -> Node:
        context = set_span_in_context(parent.span) if parent is not None else None
        span = self.tracers[scope].start_span("span", context=context, kind=kind, attributes=attributes)
        known = self._known(parent)
        if known is None and parent is not None and not parent.is_agent:
            # A span that is not known leads on by itself, one step.
            known = self._known(parent.parent)
        node = Node(
            span,
            known,
            is_edge=kind is not SpanKind.INTERNAL,
            may_become=scope != "app" or bool(attributes),
            leaks=scope == LEAKING_SCOPE,
            is_marked=attributes.get(KIND) == "AGENT",
        )
        self.model.start(node, is_step=KIND not in attributes and "gen_ai.operation.name" not in attributes)
        return node

    def _known(self, parent: Node | None) -> Node | None:
        """What a span is below that starts below this one: the tracker says what it remembers, and no more."""
        if parent is None or parent.is_open:
            return parent
        if parent.given_up:
            return next((node for node in parent.path() if node.is_open), None)
        return parent if self.feed.tracker._ended.get(parent.span.get_span_context().span_id) is not None else None

    @rule(target=nodes, scope=st.sampled_from(SCOPES), kind=st.sampled_from(SpanKind))
    def start_root(self, scope: str, kind: SpanKind) -> Node:
        return self._start(None, scope, kind, {})

    @rule(
        target=nodes,
        parent=nodes,
        scope=st.sampled_from(["app", "app", GENAI_SCOPE, LEAKING_SCOPE]),
        kind=st.sampled_from([SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CONSUMER]),
        has_genai_attribute=st.booleans(),
    )
    def start_below(self, parent: Node, scope: str, kind: SpanKind, has_genai_attribute: bool) -> Node:  # noqa: FBT001
        return self._start(parent, scope, kind, {"gen_ai.conversation.id": "c"} if has_genai_attribute else {})

    @rule(target=nodes, parent=nodes, scope=st.sampled_from(SCOPES))
    def start_agent_below(self, parent: Node, scope: str) -> Node:
        return self._start(parent, scope, SpanKind.INTERNAL, {KIND: "AGENT"})

    @rule(node=nodes)
    def fail(self, node: Node) -> None:
        """Marked failed, as some instrumentations leave a failed run's span."""
        node.span.set_status(StatusCode.ERROR)
        node.has_failed = True

    @rule(parent=nodes)
    def leaf(self, parent: Node) -> None:
        if self.leaf_count == LEAVES_MAX:
            return
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 2**self.leaf_count}
        node = self._start(parent, "app", SpanKind.CLIENT, attributes)
        node.leaf = self.leaf_count
        self.leaf_count += 1
        self._end(node)

    @rule(node=nodes, by_outcome=st.booleans())
    def mark(self, node: Node, by_outcome: bool) -> None:  # noqa: FBT001
        if not node.is_open:
            return
        key, word = ("agent.outcome.label", "x") if by_outcome else ("gen_ai.operation.name", "invoke_agent")
        node.span.set_attribute(key, word)
        node.states_outcome = node.states_outcome or by_outcome
        node.is_marked = node.is_marked or not by_outcome

    @rule(node=consumes(nodes))
    def end_and_forget(self, node: Node) -> None:
        self._end(node)

    @rule(node=nodes)
    def end(self, node: Node) -> None:
        """The span stays in the bundle: others may still start below it."""
        self._end(node)

    def _end(self, node: Node) -> None:
        if node.is_open or node.given_up:
            self.model.end(node)
            node.span.end()

    @invariant()
    def same_runs(self) -> None:
        seen = [settlement.run for settlement in self.feed.settled if settlement.revision == 0]
        tokens = [run.usage.input_tokens or 0 for run in seen]
        assert sorted(tokens) == sorted(sum(2**leaf for leaf in leaves) for leaves in self.model.runs)
        # Each leaf is a bit of its own, so that leaves in two runs would show in the sum.
        assert sum(tokens) == sum(2**leaf for leaf in set().union(*self.model.runs))
        assert len({run.id for run in seen}) == len(seen)
        assert self.feed.tracker.open_count == len(self.model.open)

    def teardown(self) -> None:
        for node in self.model.open.copy():
            self._end(node)
        self.same_runs()
        assert self.feed.tracker.open_count == 0
        assert self.feed.tracker.waiting_count == 0
        self.feed.tracker.flush()
        assert self.feed.tracker.take_settled() == []


Settling.TestCase.settings = settings(
    max_examples=a_fifth_of(600),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)


# Number of runs, their leaves and what is left over: the same as the model's, after every step.
TestSettling = Settling.TestCase

# SPDX-License-Identifier: Apache-2.0
"""Random runs of agents, model calls, tools, embeddings, duplicates and aggregates, with the ledger of what they used.

`python -m tests.usage_trees --trees 100000` sends them through a real SDK pipeline: whatever the event says of tokens
and cost is what the ledger says, or the cost is called incomplete and a problem is listed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind, use_span

from tests.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from tests.pipeline import SeenEvent

OPERATION: Final = "gen_ai.operation.name"
DEPTH_MAX: Final = 3
SCOPES: Final = ("app", "vendor.sdk", "openinference.instrumentation.openai", "opentelemetry.instrumentation.openai.v1")
MODELS: Final = (("atlas-2", "atlas-2-2026-05-01"), ("lab/birch", "birch"), ("cedar", "cedar"))
NAMES: Final = ("kiosk", "Ωmega", "night shift", "b7")


@dataclass
class Used:
    """Input and output tokens, and cost in dollars; `unsaid` is the part of it that no span of a call tells."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)
    unsaid: Used | None = None

    @property
    def counts(self) -> tuple[int, int]:
        return self.tokens_in, self.tokens_out

    def add(self, other: Used) -> None:
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.cost += other.cost
        if other.unsaid is not None:
            self.unsaid = self.unsaid or Used()
            self.unsaid.add(other.unsaid)

    def said(self) -> Used:
        """What a total comes to that was added up from what the calls told."""
        lost = self.unsaid or Used()
        return Used(self.tokens_in - lost.tokens_in, self.tokens_out - lost.tokens_out, self.cost - lost.cost)


@dataclass
class Forest:
    """Grows one tree after the other; `size` bounds the numbers, so that small ones make figures meet by chance.

    With `hides` some calls show in their agent's total only, unless the totals of a tree are added up from what the
    calls told; two totals that meet by chance are then told apart by nothing at all.
    """

    seed: int
    size: int = 100_000
    hides: bool = True
    pipeline: Pipeline = field(default_factory=Pipeline)
    traits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._number = 0

    def grow(self) -> tuple[Used, SeenEvent, frozenset[str]]:
        """One run: what it used, its event, and what was in it."""
        self.traits = Counter()
        self._reports_cost = self.random.random() < 0.7
        self._adds_up = self.random.random() < 0.4
        self.pipeline.memory.clear()
        used, _ = self._agent(DEPTH_MAX)
        (event,) = self.pipeline.events()
        return used, event, frozenset(self.traits)

    def _agent(self, depth: int) -> tuple[Used, Used]:
        """An agent's span; all it used, and what it used itself."""
        scope = self.random.choice(SCOPES)
        attributes: dict[str, AttributeValue] = {OPERATION: "invoke_agent"}
        attributes["gen_ai.agent.name"] = self.random.choice(NAMES)
        with self.pipeline.tracer(scope).start_as_current_span("invoke_agent", attributes=attributes) as span:
            whole, own = Used(), Used()
            if self.hides and self.random.random() < 0.1:
                self.traits["hidden calls"] += 1
                hidden = self._call()
                whole.add(hidden)
                own.add(hidden)
                total: Used | None = own
            else:
                for _ in range(self.random.randint(0, 4)):
                    self._step(depth, whole, own)
                total = self.random.choice((None, own, whole))
                if self._adds_up and total is not None:
                    total = total.said()
                elif self.hides and total is not None and self.random.random() < 0.1:
                    self.traits["one hidden call"] += 1
                    hidden = self._call()
                    whole.add(hidden)
                    own.add(hidden)
            if total is not None and (total.tokens_in or total.tokens_out):
                self.traits["totals"] += 1
                span.set_attributes(self._usage(total, cost=self.random.random() < 0.7))
            elif self.random.random() < 0.2:
                self.traits["costs of 0"] += 1
                span.set_attribute("gen_ai.usage.cost", 0)
        return whole, own

    def _step(self, depth: int, whole: Used, own: Used) -> None:
        kind = self.random.choice(("model", "model", "tool", "agent", "embedding", "plain"))
        if kind == "model" and self.hides and self.random.random() < 0.05:
            self.traits["silent calls"] += 1
            used = self._silent()
            whole.add(used)
            own.add(used)
        elif kind == "model":
            self._model(depth, whole, own)
        elif kind == "embedding":
            whole.add(self._embedding())
        elif kind == "agent" and depth:
            self.traits["agents"] += 1
            whole.add(self._agent(depth - 1)[0])
        elif kind in {"tool", "plain"} and depth:
            attributes = {OPERATION: "execute_tool"} if kind == "tool" else {"step": 1}
            with self.pipeline.tracer(self.random.choice(SCOPES)).start_as_current_span(kind, attributes=attributes):
                inner = Used()
                for _ in range(self.random.randint(0, 2)):
                    self._step(depth - 1, whole, own if kind == "plain" else inner)

    def _model(self, depth: int, whole: Used, own: Used) -> None:
        """A model call, in as many spans as the dice say."""
        used = self._call()
        names = self.random.choice(MODELS)
        shared: dict[str, AttributeValue] = {OPERATION: "chat"}
        if self.random.random() < 0.5:
            self._number += 1
            shared["gen_ai.response.id"] = f"resp-{self.seed}-{self._number}"
        scopes = self.random.sample(SCOPES, 2)
        twice = self.random.choice((None, None, "below", "beside", "after", "silent above", "booked", "others below"))
        if twice == "after" and "gen_ai.response.id" not in shared:
            twice = "beside"
        first = {**shared, "gen_ai.request.model": names[0], **self._usage(used)}
        second = {**shared, "gen_ai.response.model": names[1], **self._usage(used)}
        if twice == "silent above":
            first = {**shared, "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}
        outer, inner = (self.pipeline.tracer(scope) for scope in scopes)
        span = outer.start_span("call", attributes=first, kind=SpanKind.CLIENT)
        if twice in {"beside", "below", "silent above"}:
            self.traits[f"twice {twice}"] += 1
            self._second(inner, span, second, is_below=twice != "beside")
        elif twice == "others below":
            others = self._others(span, scopes, used, has_id="gen_ai.response.id" in shared)
            whole.add(others)
            own.add(others)
        elif twice is None and depth and self.random.random() < 0.2:
            self.traits["calls within calls"] += 1
            self._within(span, depth, whole)
        span.end()
        if twice in {"after", "booked"}:
            self.traits[f"twice {twice}"] += 1
            again = second if twice == "after" else self._usage(used, cost=False)
            (inner if twice == "after" else outer).start_span("again", attributes=again).end()
        for sums in (whole, own):
            sums.add(used)

    def _second(self, tracer: Tracer, span: Span, attributes: dict[str, AttributeValue], *, is_below: bool) -> None:
        """The span of another instrumentation, below the first one or beside it."""
        if is_below:
            with use_span(span):
                tracer.start_span("call", attributes=attributes).end()
        else:
            tracer.start_span("call", attributes=attributes).end()

    def _within(self, span: Span, depth: int, whole: Used) -> None:
        """A tool, an agent or an embedding that runs within the span of a model call."""
        kind = self.random.choice(("tool", "agent", "embedding"))
        with use_span(span):
            if kind == "embedding":
                whole.add(self._embedding())
            elif kind == "agent":
                whole.add(self._agent(depth - 1)[0])
            else:
                with self.pipeline.tracer("app").start_as_current_span(kind, attributes={OPERATION: "execute_tool"}):
                    whole.add(self._agent(depth - 1)[0])

    def _others(self, span: Span, scopes: Sequence[str], used: Used, *, has_id: bool) -> Used:
        """Calls of other models that run within the span of a call, such as a guard or a summary."""
        self.traits["other calls below"] += 1
        others = [used]
        while True in [used.counts == other.counts for other in (*others, total_of(others))]:
            others = [self._call() for _ in range(self.random.randint(1, 2))]
        for other in others:
            attributes: dict[str, AttributeValue] = {OPERATION: "chat", **self._usage(other)}
            attributes["gen_ai.request.model"] = self.random.choice(("elm", "fir-mini"))
            if has_id:
                self._number += 1
                attributes["gen_ai.response.id"] = f"resp-{self.seed}-{self._number}"
            scope = scopes[0] if self.random.random() < 0.7 else scopes[1]
            with use_span(span):
                self.pipeline.tracer(scope).start_span("call", attributes=attributes).end()
        return total_of(others)

    def _silent(self) -> Used:
        """A call that goes well and of which no span says what it has used."""
        used = self._call()
        used.unsaid = Used(used.tokens_in, used.tokens_out, used.cost)
        attributes: dict[str, AttributeValue] = {OPERATION: "chat", "gen_ai.request.model": "gale"}
        self.pipeline.tracer(self.random.choice(SCOPES)).start_span("call", attributes=attributes).end()
        return used

    def _embedding(self) -> Used:
        used = self._call()
        used.tokens_out = 0
        attributes = {OPERATION: "embeddings", "gen_ai.request.model": "dove", **self._usage(used)}
        self.pipeline.tracer(self.random.choice(SCOPES)).start_span("embed", attributes=attributes).end()
        return used

    def _call(self) -> Used:
        tokens = (self.random.randint(1, self.size), self.random.randint(1, self.size))
        return Used(*tokens, Decimal(self.random.randint(1, 10**6)).scaleb(-6))

    def _usage(self, used: Used, *, cost: bool = True) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {"gen_ai.usage.input_tokens": used.tokens_in}
        if used.tokens_out:
            attributes["gen_ai.usage.output_tokens"] = used.tokens_out
        if cost and self._reports_cost:
            attributes["gen_ai.usage.cost"] = str(used.cost)
        return attributes


def total_of(calls: list[Used]) -> Used:
    """What several calls have used."""
    total = Used()
    for used in calls:
        total.add(used)
    return total


def difference(used: Used, event: SeenEvent) -> str | None:
    """What the event says against the ledger without a word about it; `None` if there is nothing."""
    seen = event.attributes
    tokens = (seen.get("agent.run.input_tokens") or 0, seen.get("agent.run.output_tokens") or 0)
    cost = Decimal(str(event.outcome("cost") or 0))
    is_complete = event.outcome("cost_complete") is not False
    if tokens != (used.tokens_in, used.tokens_out) and (is_complete or not event.problems):
        return f"tokens {tokens}, used {used}, problems {event.problems}"
    if cost != used.cost and is_complete:
        return f"cost {cost} called complete, used {used}"
    return None


def main() -> int:
    """Grow as many trees as the command line asks for; 1 if any differs in silence."""
    parser = argparse.ArgumentParser("python -m tests.usage_trees", description=__doc__)
    parser.add_argument("--trees", type=int, default=1_000, metavar="N", help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the random choices (default: 1)")
    parser.add_argument(
        "--size", type=int, default=100_000, metavar="T", help="most tokens of a call (default: 100000)"
    )
    options = parser.parse_args()
    forest = Forest(options.seed, options.size)
    traits: Counter[str] = Counter()
    exact = differences = 0
    for number in range(options.trees):
        used, event, found = forest.grow()
        traits.update(found)
        said = difference(used, event)
        exact += said is None and event.outcome("cost_complete") is not False
        if said is not None:
            differences += 1
            print(f"tree {number}: {said}; {sorted(found)}", flush=True)
        if sys.stderr.isatty() and number % 1_000 == 0:
            print(f"\r{number} trees", end="", file=sys.stderr)
    print(f"{options.trees} trees: {differences} silent differences, {exact} exact and complete; with {dict(traits)}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""What is read of a span without decoding it is what it says decoded."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes.explain.exported import ParentPlace, parent_place, span_kind
from agent_outcomes.gateway.assembly.agent_marks import AGENT_KEYS, is_agents_scope, may_hold_agents
from agent_outcomes.gateway.assembly.heads import NO_PARENT, SpanHead, may_be_topmost, read_head
from agent_outcomes.gateway.wire.frames import NO_SPAN

pytestmark = pytest.mark.backends

ids = st.binary(min_size=8, max_size=8)


def span(**more: Any) -> Span:
    return Span(trace_id=bytes(15) + b"t", span_id=bytes(7) + b"s", **more)


@given(
    st.one_of(st.just(b""), st.just(NO_SPAN), ids),
    st.integers(0, 9),
    st.sampled_from([0, 1, 0x100, 0x101, 0x300, 0x301, 0x201]),
    st.tuples(st.text(max_size=300), st.text(max_size=200), st.text(max_size=5)),
)
def test_a_head_says_what_the_span_does(parent_id: bytes, kind: int, flags: int, texts: tuple[str, str, str]) -> None:
    """Whatever stands before, between and behind."""
    name, trace_state, message = texts
    sent = span(parent_span_id=parent_id, kind=kind, flags=flags, name=name, trace_state=trace_state)
    sent.status.message = message
    expected = SpanHead(NO_PARENT if parent_id == NO_SPAN else parent_id, span_kind(kind), parent_place(flags))
    assert read_head(sent.SerializeToString()) == expected
    is_topmost = not expected.parent_id or expected.parent_place is ParentPlace.ELSEWHERE
    assert may_be_topmost(sent.SerializeToString()) == is_topmost or trace_state


@given(st.binary(max_size=80))
def test_nothing_that_comes_makes_it_fail(data: bytes) -> None:
    """Nor does a span that ends early."""
    read_head(data)
    may_be_topmost(data)
    read_head(span(name="x").SerializeToString() + data)


@pytest.mark.parametrize("key", sorted(AGENT_KEYS))
@given(seed=st.integers())
def test_every_key_of_the_tables_is_found(key: str, seed: int) -> None:
    """Wherever it stands among others."""
    chance = random.Random(seed)
    sent = span(name="step")
    others = [f"user.{chance.randrange(10**6)}" for _ in range(chance.randrange(4))]
    for each in chance.sample([*others, key], len(others) + 1):
        sent.attributes.add(key=each).value.string_value = "x" * chance.randrange(200)
    assert may_hold_agents(sent.SerializeToString())


@pytest.mark.parametrize(
    "key", ["user_agent.original", "gen_ai.request.model", "my.agent.outcome.label", "agent.outcom"]
)
def test_other_spans_are_left_alone(key: str) -> None:
    """Though their keys look alike, or their values hold such keys."""
    sent = span(name="GET /invoke_agent", kind=3)
    sent.attributes.add(key=key).value.string_value = "agent.outcome.success invoke_agent"
    assert not may_hold_agents(sent.SerializeToString())
    assert not is_agents_scope("io.opentelemetry.tomcat-10.0")
    assert is_agents_scope("openinference.instrumentation.crewai")

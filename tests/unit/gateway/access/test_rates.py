# SPDX-License-Identifier: Apache-2.0
"""How often a key may ask, beside a bucket of tokens that is filled step by step."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.access.rates import NAMES_MAX, RequestRates
from agent_outcomes.gateway.settings import AccessLimits
from tests.clock import Clock

pytestmark = pytest.mark.backends

# In parts of a second that a float has exactly, so that both come to the very same answer.
STEPS = st.integers(0, 2_000).map(lambda parts: parts / 256)


@given(
    rate=st.sampled_from([1, 2, 4, 16, 64]),
    at_once=st.integers(1, 20),
    asked=st.lists(st.tuples(STEPS, st.sampled_from("ab")), max_size=60),
)
def test_it_is_a_bucket_of_tokens(rate: int, at_once: int, asked: list[tuple[float, str]]) -> None:
    """Who is refused is told exactly how long to wait, and each name has a bucket of its own."""
    clock = Clock(0.0)
    rates = RequestRates(AccessLimits(rate, at_once), clock)
    tokens = dict.fromkeys("ab", Fraction(at_once))
    for step_s, name in asked:
        clock.now_s += step_s
        tokens = {one: min(Fraction(at_once), held + Fraction(step_s) * rate) for one, held in tokens.items()}
        wait_s = rates.wait_s(name)
        if tokens[name] >= 1:
            assert wait_s == 0
            tokens[name] -= 1
        else:
            assert wait_s == float((1 - tokens[name]) / rate)


def test_a_refusal_takes_nothing() -> None:
    """Who asks in vain all the time is let in as soon as who waits."""
    clock = Clock(0.0)
    rates = RequestRates(AccessLimits(4, 2), clock)
    assert [rates.wait_s("crm") for _ in range(5)] == [0, 0, 0.25, 0.25, 0.25]
    clock.now_s = 0.25
    assert [rates.wait_s("crm") for _ in range(2)] == [0, 0.25]


def test_names_are_bounded() -> None:
    """The one that has not asked for longest begins anew; the others do not."""
    rates = RequestRates(AccessLimits(1, 1), Clock(0.0))
    for number in range(NAMES_MAX + 1):
        assert rates.wait_s(f"key-{number}") == 0
    assert len(rates._full_again_s) == NAMES_MAX
    assert rates.wait_s(f"key-{NAMES_MAX}") == 1
    assert rates.wait_s("key-0") == 0

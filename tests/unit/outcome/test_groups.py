# SPDX-License-Identifier: Apache-2.0
"""What a group of exceptions amounts to: what its errors do, where they agree or one of them forbids a retry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes import Outcome, retry_after_s
from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.exception_reader import LEAVES_MAX, facts_from_exception, leaves
from tests.chained_errors import caused

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.outcome.errors import Classification


class RateLimitError(Exception):
    """An error of a client, with what it asks for."""

    status_code = 429

    def __init__(self, retry_after: float | None = 7) -> None:
        super().__init__("secret")
        self.retry_after = retry_after


class DeniedError(Exception):
    """An error of a client that was not let in."""

    status_code = 401


class UnmarkedError(Exception):
    """An error of which nothing is known."""


def group(*errors: BaseException) -> BaseExceptionGroup:
    return BaseExceptionGroup("unhandled errors in a TaskGroup", errors)


def verdict(error: BaseException) -> Classification:
    return classify(facts_from_exception(error))


LEAVES: dict[str, Callable[[], BaseException]] = {
    "rate limit": RateLimitError,
    "timeout": TimeoutError,
    "network": ConnectionResetError,
    "bug": KeyError,
    "auth": DeniedError,
    "unknown": UnmarkedError,
    "cancelled": asyncio.CancelledError,
    "interrupted": KeyboardInterrupt,
    "caused": lambda: caused(UnmarkedError(), ConnectionError()),
}


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_errors_that_agree_say_what_the_group_means(name: str, count: int, depth: int) -> None:
    """One error or several of a kind, however deep: status, category, retryability and remedy are theirs."""
    made = group(*(LEAVES[name]() for _ in range(count)))
    for _ in range(depth - 1):
        made = group(made)
    assert verdict(made) == verdict(LEAVES[name]())
    outcome = Outcome.from_exception(made)
    assert outcome.error_type == type(made).__name__
    assert outcome.evidence == f"exception:{type(made).__name__}"


def test_a_rate_limit_in_a_group_says_how_long_to_wait() -> None:
    """The longest wait that an error in the group asks for, each along its own causes; none if none asks."""
    assert retry_after_s(group(RateLimitError())) == 7.0
    assert retry_after_s(group(RateLimitError(3), group(RateLimitError(40), RateLimitError(None)))) == 40.0
    assert retry_after_s(group(caused(UnmarkedError(), RateLimitError(5)), RateLimitError(2))) == 5.0
    assert retry_after_s(caused(UnmarkedError(), group(RateLimitError(9)))) == 9.0
    assert retry_after_s(group(RateLimitError(10**9))) == 86_400.0
    assert retry_after_s(group(UnmarkedError())) is None


@pytest.mark.parametrize(
    ("names", "category", "retryable"),
    [
        (("rate limit", "bug"), "bug", False),
        (("bug", "rate limit"), "bug", False),
        (("auth", "timeout", "unknown"), "auth", False),
        (("rate limit", "network"), "other", None),
        (("rate limit", "unknown"), "other", None),
        (("timeout", "cancelled"), "other", None),
        (("timeout", "interrupted"), "other", None),
        (("network", "auth", "bug"), "auth", False),
    ],
)
def test_errors_that_differ(names: tuple[str, ...], category: str, *, retryable: bool | None) -> None:
    """The first that forbids a retry decides, for trying again would meet it again; else nothing is known."""
    found = verdict(group(*(LEAVES[name]() for name in names)))
    assert (found.status.value, found.category, found.retryable) == ("failure", category, retryable)


@given(st.lists(st.sampled_from(sorted(LEAVES)), min_size=1, max_size=8), st.data())
def test_no_order_and_no_nesting_makes_a_group_retryable(names: list[str], data: st.DataObject) -> None:
    """Whatever is in it and wherever, a group is retryable only if every error in it is."""
    made = [LEAVES[name]() for name in names]
    cut = data.draw(st.integers(0, len(made)))
    inner, outer = made[:cut], made[cut:]
    nested = group(*([group(*inner)] if inner else []), *outer)
    found = verdict(nested)
    assert found == verdict(group(*data.draw(st.permutations(made)))) or found.retryable is False
    if found.retryable is True:
        assert all(verdict(one).retryable for one in made)


def test_a_cause_of_the_group_or_among_its_errors_is_no_circle() -> None:
    """A group that caused one of its own errors, and groups around groups, come to an end."""
    leaf = UnmarkedError()
    circle = group(leaf)
    leaf.__cause__ = circle
    assert verdict(circle).category == "other"
    assert verdict(caused(UnmarkedError(), group(caused(UnmarkedError(), group(TimeoutError()))))).category == "timeout"


def test_what_is_looked_at_is_bounded() -> None:
    """Up to the limit every error counts; past it nobody has looked at all of them, so nothing is known."""
    assert verdict(group(*[TimeoutError()] * LEAVES_MAX)).category == "timeout"
    assert verdict(group(*[TimeoutError()] * (LEAVES_MAX + 1))).category == "other"
    doubled = group(TimeoutError())
    for _ in range(60):
        doubled = group(doubled, doubled)
    assert len(leaves(doubled)) == LEAVES_MAX + 1
    assert retry_after_s(doubled) is None
    assert leaves(TimeoutError()) == []


def test_a_group_of_an_own_class_is_looked_up_first() -> None:
    """A class of its own with a flag or a status says what it means; what it calls `exceptions` is not believed."""

    class OwnGroup(ExceptionGroup[Any]):
        retryable = True

        @property
        def exceptions(self) -> Any:
            raise RuntimeError

    found = verdict(OwnGroup("g", [UnmarkedError()]))
    assert (found.category, found.retryable) == ("other", True)
    assert verdict(OwnGroup("g", [RateLimitError()])).category == "rate_limit"

# SPDX-License-Identifier: Apache-2.0
"""Classes of any library that end in what happened: a time limit, a rate limit; and those that only seem to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.classification import classify, facts_from_name
from agent_outcomes.outcome.error_names import names, rule_by_ending
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.messages import told_by
from agent_outcomes.outcome.name_words import NO_ENDING
from agent_outcomes.outcome.recorded import facts_from_recorded
from tests.chained_errors import error_class

if TYPE_CHECKING:
    from agent_outcomes.outcome.errors import Classification

ENDS = {
    **dict.fromkeys(("Timeout", "TimeOut", "TimedOut", "DeadlineExceeded", "TimeoutExpired"), "timeout"),
    **dict.fromkeys(
        ("RateLimit", "RateLimited", "RateLimitExceeded", "RateLimitReached", "TooManyRequests", "Throttled"),
        "rate_limit",
    ),
}
NO_WORDS = sorted(
    word.replace("?", "")
    for word in re.split(r"[|()]", NO_ENDING.pattern.partition(")(?:")[2])
    if word.isascii() and word
)
VENDORS = st.from_regex(r"[A-Z][a-z]{3,9}", fullmatch=True).filter(lambda word: NO_ENDING.search(f"{word}T") is None)
MODULES = st.lists(st.from_regex(r"my[a-z]{1,6}", fullmatch=True), max_size=3)
SUFFIXES = st.sampled_from(("", "Error", "Exception"))


def said_of(name: str) -> list[Classification]:
    """What a class says on a span, in a stack, as an object, as an object's parent, and before a message."""
    told = told_by(f"{name}: secret")
    return [
        classify(facts_from_name(name)),
        classify(facts_from_recorded(name, "secret")),
        classify(facts_from_exception(error_class(name)("secret"))),
        classify(facts_from_exception(error_class("shop.Own", error_class(name))("secret"))),
        *([told.rule] if told is not None else []),
    ]


@given(MODULES, VENDORS, st.lists(VENDORS, max_size=2), st.sampled_from(sorted(ENDS)), SUFFIXES)
def test_any_vendors_class(modules: list[str], vendor: str, more: list[str], end: str, suffix: str) -> None:
    """Whoever's it is and whatever it is called before, the last words say what happened, and that it may pass."""
    name = ".".join([*modules, f"{vendor}{''.join(more)}{end}{suffix}"])
    for found in said_of(name):
        assert (found.category, found.retryable) == (ENDS[end], True), name


@given(MODULES, st.sampled_from(NO_WORDS), st.lists(VENDORS, max_size=1), st.sampled_from(sorted(ENDS)), SUFFIXES)
def test_about_the_limit_itself(modules: list[str], word: str, more: list[str], end: str, suffix: str) -> None:
    """One of these words before them makes something else of it."""
    assert rule_by_ending(".".join([*modules, f"{word}{''.join(more)}{end}{suffix}"])) is None
    assert rule_by_ending(f"Acme{word}{end}{suffix}") is None


@pytest.mark.parametrize(
    "name",
    [
        *("InvalidTimeoutError", "nats.errors.BadTimeoutError", "kafka.errors.InvalidSessionTimeoutError"),
        *("TimeoutConfigurationError", "RateLimitConfigError", "TimeoutSettings", "TimeoutHandlerError"),
        *("ExchangeRateLimitError", "InterestRateLimitExceeded", "setTimeoutError", "acme.set_timeout", "my_timeout"),
        *("TimeoutErrorHandler", "Acme Timeout", "AcmetimeoutError", "SessionTimeoutException", "NoTimeoutError"),
    ],
)
def test_no_ending(name: str) -> None:
    """Neither words in the midst, nor in lower case, nor those of functions."""
    assert rule_by_ending(name) is None
    assert {found.category for found in said_of(name)} == {"other"}


def test_what_has_a_row_says_the_same() -> None:
    """No class that the tables know is read otherwise by its ending than by its row."""
    for name, rule in names().items():
        found = rule_by_ending(name)
        assert found is None or found.retryable == rule.retryable, name


@pytest.mark.parametrize(
    ("attributes", "category"),
    [({"status_code": 401}, "auth"), ({"code": "insufficient_quota"}, "quota"), ({"status_code": 429}, "rate_limit")],
)
def test_a_name_says_less_than_a_code(attributes: dict[str, object], category: str) -> None:
    """What stands on the error decides before what it is called."""
    error = error_class("acme.AcmeReadTimeoutError", **attributes)("secret")
    assert classify(facts_from_exception(error)).category == category


def test_a_name_says_less_than_a_cause() -> None:
    """What it was raised from decides, where that is known."""
    error = error_class("acme.AcmeToolTimeout")("secret")
    error.__cause__ = error_class("openai.AuthenticationError")()
    assert classify(facts_from_exception(error)).category == "auth"

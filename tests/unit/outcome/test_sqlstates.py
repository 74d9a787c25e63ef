# SPDX-License-Identifier: Apache-2.0
"""Codes of the SQL standard, wherever drivers of databases keep them, and limits that are answered with a 403."""

from __future__ import annotations

from typing import Any

import pytest

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.vendor_codes import SQLSTATE_RULES

# By what PostgreSQL's manual says of them; `None`: it may be one thing or another.
EXPECTED = {
    **dict.fromkeys(("08000", "08001", "08003", "08004", "08006", "08007", "08S01"), ("network", True)),
    # What ODBC adds.
    **dict.fromkeys(("HYT00", "HYT01"), ("timeout", True)),
    **dict.fromkeys(("40001", "40P01", "55P03"), ("transient", True)),
    **dict.fromkeys(("53000", "53300", "57P01", "57P02", "57P03"), ("upstream_unavailable", True)),
    **dict.fromkeys(("28000", "28P01", "42501"), ("auth", False)),
    **dict.fromkeys(("23502", "23503", "23505", "23514"), ("bad_request", False)),
}
UNTOLD = ("57014", "00000", "XX000", "42P01", "")


def raised(name: str, module: str, message: str = "m", **held: Any) -> Exception:
    """An error of a class that is called so, which holds these."""
    error: Exception = type(name, (Exception,), {"__module__": module})(message)
    for key, value in held.items():
        setattr(error, key, value)
    return error


def test_every_code_is_expected() -> None:
    """A code added to the table without a row written here fails."""
    assert {code.removeprefix("SQLSTATE ") for code in SQLSTATE_RULES} == set(EXPECTED)


@pytest.mark.parametrize("key", ["sqlstate", "pgcode"])
@pytest.mark.parametrize("code", [*EXPECTED, *UNTOLD])
def test_on_an_error(code: str, key: str) -> None:
    """Of whatever class, and through what it was raised from."""
    expected = EXPECTED.get(code, ("other", None))
    error = raised("OperationalError", "some_driver.errors", **{key: code})
    wrapper = raised("DBAPIError", "some_orm.exc")
    wrapper.__cause__ = error
    for one in (error, wrapper):
        found = classify(facts_from_exception(one))
        assert (found.category, found.retryable) == expected


@pytest.mark.parametrize("code", [*EXPECTED, *(code for code in UNTOLD if code)])
@pytest.mark.parametrize("before", ["", "save order 4711: ", "commit: unexpected: "])
def test_in_a_message(code: str, before: str) -> None:
    """Where pgx puts it; the same digits elsewhere are a number of anything."""
    expected = EXPECTED.get(code, ("other", None))
    found = classify(facts_from_recorded("*pgconn.PgError", f"{before}ERROR: no (SQLSTATE {code})"))
    assert (found.category, found.retryable) == expected
    for text in (f"order {code}", f"no ({code})", f"(SQLSTATE {code}) is what it said"):
        assert classify(facts_from_recorded("shop.OrderError", text)).category == "other"


@pytest.mark.parametrize("code", EXPECTED)
def test_no_code_of_others(code: str) -> None:
    """A `code` or a name of five letters or digits may be any API's own."""
    assert classify(facts_from_exception(raised("OrderError", "shop", code=code))).category == "other"
    assert classify(facts_from_recorded(code)).category == "other"


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        # GitHub answers so to who asks too often (its "Rate limits for the REST API").
        ("RateLimitExceededException", 403, ("rate_limit", True)),
        ("RateLimitExceededException", 429, ("rate_limit", True)),
        ("RateLimitExceededException", 401, ("rate_limit", True)),
        ("BadCredentialsException", 403, ("auth", False)),
        ("GithubException", 403, ("auth", False)),
        ("RateLimitExceededException", 402, ("quota", False)),
    ],
)
def test_a_limit_that_is_answered_with_a_403(name: str, status: int, expected: tuple[str, bool]) -> None:
    """A class that means a rate limit everywhere says more than a status that refuses."""
    found = classify(facts_from_exception(raised(name, "github.GithubException", status=status)))
    assert (found.category, found.retryable) == expected

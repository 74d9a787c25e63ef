# SPDX-License-Identifier: Apache-2.0
"""How long errors ask to wait: every attribute and header, dates, gRPC's details, hostile objects, bounds."""

from __future__ import annotations

import math
import sys
from collections import UserDict
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes import retry_after_s
from agent_outcomes.api.retry_after import ATTRIBUTES, GRPC_RETRY_INFO, HEADERS, RETRY_AFTER_MAX_S

SENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
DATE = {"date": format_datetime(SENT, usegmt=True)}


class AskingError(Exception):
    """An error with any attributes."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__("secret message")
        vars(self).update(attributes)


class Hostile:
    """An object that raises whatever is done with it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def get(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError


def http_error(headers: dict[str, str]) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://localhost")
    return httpx.HTTPStatusError("429", request=request, response=httpx.Response(429, headers=headers, request=request))


@pytest.mark.parametrize(("name", "unit_s"), ATTRIBUTES.items())
def test_every_attribute(name: str, unit_s: float) -> None:
    """In the unit that its name says, as a number, as text or as a duration."""
    assert retry_after_s(AskingError(**{name: 20})) == pytest.approx(20 * unit_s)
    assert retry_after_s(AskingError(**{name: "2.5"})) == pytest.approx(2.5 * unit_s)
    assert retry_after_s(AskingError(**{name: timedelta(seconds=3)})) == 3


@pytest.mark.parametrize(("name", "unit_s"), HEADERS.items())
def test_every_header(name: str, unit_s: float) -> None:
    """Of the error's response, or its own; whatever the mapping thinks of case."""
    message = Message()
    message[name] = "7"
    errors = [
        http_error({name: "7"}),
        AskingError(headers={name: "7"}),
        AskingError(headers={name.title(): "7"}),
        AskingError(response=AskingError(headers=UserDict({name: "7"}))),
        AskingError(response={"ResponseMetadata": {"HTTPHeaders": {name: "7"}}}),
        HTTPError("http://localhost", 429, "no", message, None),
    ]
    assert [retry_after_s(error) for error in errors] == [pytest.approx(7 * unit_s)] * len(errors)


def test_milliseconds_are_read_first() -> None:
    """They say the same more precisely."""
    assert retry_after_s(http_error({"retry-after": "2", "retry-after-ms": "1500"})) == 1.5


def test_a_date_counts_from_the_answers_own_date() -> None:
    """A clock that is off on either side changes nothing; a date that has passed means now."""
    later = format_datetime(SENT + timedelta(seconds=90), usegmt=True)
    assert retry_after_s(http_error({"retry-after": later, **DATE})) == 90
    assert retry_after_s(http_error({"retry-after": DATE["date"], "date": later})) == 0


def test_a_date_alone_counts_from_now() -> None:
    """Where the answer has no date, our clock has to do."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    asked_s = retry_after_s(http_error({"retry-after": later}))
    assert asked_s is not None
    assert 500 < asked_s <= 600


@pytest.mark.parametrize(
    "value", ["", "soon", "-1", "1e3", "0x10", "nan", "inf", "1" * 13, "Mon, 99 Foo 2026", "\u0665", "5 s", "9" * 5000]
)
def test_a_header_that_says_nothing(value: str) -> None:
    """What is neither a number of seconds nor a date is no answer."""
    assert retry_after_s(AskingError(headers={"retry-after": value, **DATE})) is None


@pytest.mark.parametrize("value", [None, True, -1, -0.5, math.nan, "x", b"5", [5], object(), timedelta(seconds=-1)])
def test_an_attribute_that_says_nothing(value: object) -> None:
    """Nor is what is no time to wait."""
    assert retry_after_s(AskingError(retry_after=value)) is None


@pytest.mark.parametrize("value", [10**6, 2**5000, math.inf, "999999999999", timedelta(days=400)])
def test_at_most_a_day(value: object) -> None:
    """Whatever is asked."""
    assert retry_after_s(AskingError(retry_after=value)) == RETRY_AFTER_MAX_S == 86400


def test_the_first_cause_that_says() -> None:
    """A framework's wrapper keeps what the client's error asked, along `__cause__` only."""
    wrapper = AskingError()
    wrapper.__cause__ = AskingError()
    wrapper.__cause__.__cause__ = http_error({"retry-after": "4"})
    assert retry_after_s(wrapper) == 4
    handled = AskingError()
    handled.__context__ = http_error({"retry-after": "4"})
    assert retry_after_s(handled) is None
    circular = AskingError()
    circular.__cause__ = circular
    assert retry_after_s(circular) is None


def test_details_that_a_client_has_read() -> None:
    """google.api_core's errors carry the messages themselves."""
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(2500)
    assert retry_after_s(AskingError(details=[object(), info])) == 2.5
    assert retry_after_s(AskingError(details=[RetryInfo()])) == 0


def test_an_error_that_says_nothing() -> None:
    """Most do not."""
    assert retry_after_s(ValueError("retry after 5 seconds")) is None


def test_details_that_nothing_here_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Google's messages cannot be imported, an error of gRPC asks for nothing."""

    class RpcError(Exception):
        def trailing_metadata(self) -> list[tuple[str, bytes]]:
            return [(GRPC_RETRY_INFO, RetryInfo().SerializeToString())]

    monkeypatch.setattr(RpcError, "__module__", "grpc")
    assert retry_after_s(RpcError()) == 0
    monkeypatch.setitem(sys.modules, "google.rpc.error_details_pb2", None)
    assert retry_after_s(RpcError()) is None


@pytest.mark.parametrize("name", ["retry_after", "response", "headers", "details", "trailing_metadata"])
def test_hostile_errors(name: str) -> None:
    """Attributes of a foreign object may raise anything."""
    assert retry_after_s(AskingError(**{name: Hostile()})) is None


@given(st.dictionaries(st.sampled_from([*ATTRIBUTES, "headers", "details"]), st.integers() | st.floats() | st.text()))
def test_total(attributes: dict[str, Any]) -> None:
    """Nothing raises, and what comes out is a time within a day."""
    headers = [AskingError(headers={"retry-after": str(value)}) for value in attributes.values()]
    for error in (AskingError(**attributes), *headers):
        asked_s = retry_after_s(error)
        assert asked_s is None or 0 <= asked_s <= RETRY_AFTER_MAX_S

# SPDX-License-Identifier: Apache-2.0
"""Numbers from outside, however large and in whatever digits: what is read fits the column that it goes to."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.bounds import REVISION_MAX, ROW_MAX, TIME_MAX_NS, whole_number
from agent_outcomes.gateway.http_api.problems import RequestRefused
from agent_outcomes.gateway.http_api.queries import cursor_of, read_cursor, time_ns, until_ns
from agent_outcomes.gateway.http_api.references import etag_of, with_condition
from agent_outcomes.gateway.page.period import read_period
from agent_outcomes.gateway.page.report_forms import OutcomeForm, retraction_of
from agent_outcomes.gateway.page.run_list import place_text, read_place
from agent_outcomes.given_times import read_time
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger_command.inputs import number, positive_number

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.backends

NS = 10**9
NOW_NS = 1_800_000_000 * NS
OUTCOME_ID = "0123456789abcdef0123456789abcdef-0123456789abcdef"
# Digits of other scripts, of which Python makes numbers, and superscripts, of which it makes none.
OTHER_DIGITS = ("٣", "४", "\uff11", "²", "1٣", "۱۲")
NUMBERS = st.integers(0, 2**70) | st.sampled_from(
    [edge + more for edge in (2**31, 2**32, 2**53, 2**63, 2**64, 10**9, 10**10, 10**19) for more in (-2, -1, 0, 1)]
)
REFUSALS = (ReportRefused, RequestRefused, argparse.ArgumentTypeError)


def of_header(text: str) -> Any:
    return with_condition({}, [f'"{text}"'])[0]["if_revision"]


def of_body(text: str) -> Any:
    given = int(text) if text.isdecimal() else text
    return read_report(outcome_id=OUTCOME_ID, success=True, if_revision=given).if_revision  # type: ignore[arg-type]


def of_form(text: str) -> Any:
    form = OutcomeForm(if_revision=text)
    return retraction_of(form, OUTCOME_ID, Reporter()).if_revision


READERS: dict[Callable[[str], Any], int] = {
    of_header: REVISION_MAX,
    of_body: REVISION_MAX,
    of_form: REVISION_MAX,
    number: REVISION_MAX,
    positive_number: ROW_MAX,
    lambda text: (read_cursor(f"{text}-1") or [None])[0]: TIME_MAX_NS,
    lambda text: (read_cursor(f"1-{text}") or [None])[1]: ROW_MAX,
    lambda text: (read_place(f"{text}.1") or [None])[0]: TIME_MAX_NS,
    lambda text: (read_place(f"1.{text}") or [None, None])[1]: ROW_MAX,
}


def read_or_none(reader: Callable[[str], Any], text: str) -> Any:
    try:
        return reader(text)
    except REFUSALS:
        return None


@pytest.mark.parametrize("reader", READERS)
@given(given_number=NUMBERS.filter(bool))
def test_every_reader_has_the_same_maximum_of_a_quantity(reader: Callable[[str], Any], given_number: int) -> None:
    """What is larger is refused, and nothing that can be kept is."""
    expected = given_number if given_number <= READERS[reader] else None
    assert read_or_none(reader, str(given_number)) == expected


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader is not of_body])
@pytest.mark.parametrize("text", [*OTHER_DIGITS, "", "-1", "+1", "1_0", "1.0", " 1", "0x1", "9" * 5000])
def test_a_number_is_of_ascii_digits(reader: Callable[[str], Any], text: str) -> None:
    """Nothing else is one, whatever `int` makes of it."""
    assert read_or_none(reader, text) is None


@given(NUMBERS, NUMBERS)
def test_a_whole_number_is_read_up_to_its_maximum(value: int, most: int) -> None:
    assert whole_number(str(value), most) == (value if value <= most else None)


@given(st.integers(0, REVISION_MAX), st.integers(0, TIME_MAX_NS), st.integers(0, ROW_MAX))
def test_what_is_given_out_is_taken_back(revision: int, end_ns: int, row: int) -> None:
    """Entity tags, and where a next page begins."""
    assert with_condition({}, [etag_of(revision)]) == [{"if_revision": revision}]
    assert read_cursor(cursor_of((end_ns, row))) == (end_ns, row)
    assert read_place(place_text((end_ns, row)) or "") == (end_ns, row)


LAST_S = TIME_MAX_NS // NS
YEAR_10000_S = 253_402_300_800


@given(st.integers(0, YEAR_10000_S - 1) | st.sampled_from([LAST_S - 1, LAST_S, LAST_S + 1, YEAR_10000_S - 86_400]))
def test_every_time_is_one_that_a_ledger_can_compare(moment_s: int) -> None:
    """Later than all that is kept: the end of a range is none, and its beginning is the last moment."""
    text = datetime.fromtimestamp(moment_s, UTC).isoformat()
    exact = moment_s * NS
    assert read_time(text).before(NOW_NS) == time_ns(text, "since", NOW_NS) == min(exact, TIME_MAX_NS)
    until = exact if exact < TIME_MAX_NS else None
    assert read_time(text).until(NOW_NS) == until_ns(text, "until", NOW_NS) == until
    period = read_period({"from": "2026-01-01", "to": text[:10]}, NOW_NS)
    assert 0 <= period.since_ns < period.until_ns <= TIME_MAX_NS


@pytest.mark.parametrize("text", [f"{digit}d" for digit in OTHER_DIGITS])
def test_a_length_of_time_is_in_ascii_digits(text: str) -> None:
    with pytest.raises(ValueError, match="isoformat"):
        read_time(text)

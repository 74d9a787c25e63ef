# SPDX-License-Identifier: Apache-2.0
"""Times as people and programs give them: exact to the nanosecond, as the export prints them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.http_api.queries import time_ns
from agent_outcomes.given_times import read_time
from agent_outcomes.ledger.exporting import time_text
from agent_outcomes.ledger_command.inputs import given_time

NS = 1_000_000_000
NS_MAX = 2**63 - 1


@given(moment_ns=st.integers(0, NS_MAX))
def test_a_time_of_the_export_comes_back(moment_ns: int) -> None:
    """On the command line and in a gateway's query alike."""
    text = time_text(moment_ns)
    assert given_time(text).before(0) == time_ns(text, "since", 0) == moment_ns


@given(
    seconds=st.integers(86_400, 4 * 10**9),
    digits=st.text("0123456789", min_size=1, max_size=12),
    mark=st.sampled_from(".,"),
    form=st.sampled_from(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y%m%dT%H%M%S"]),
    zone=st.sampled_from(["", "Z", "+00:00", "+02:00", "-0930"]),
)
def test_every_form_keeps_what_stands_behind_the_seconds(
    seconds: int, digits: str, mark: str, form: str, zone: str
) -> None:
    """With any number of digits, either mark, and any zone."""
    text = f"{datetime.fromtimestamp(seconds, UTC):{form}}{mark}{digits}{zone}"
    offset = {"+02:00": timedelta(hours=-2), "-0930": timedelta(hours=9, minutes=30)}.get(zone, timedelta())
    assert read_time(text).moment_ns == (seconds + int(offset.total_seconds())) * NS + int(digits[:9].ljust(9, "0"))


@pytest.mark.parametrize(
    "text", ["2262-04-12", "2300-01-01T00:00Z", "9999-12-31", "9999-12-31T23:59:59.999999999-12:00"]
)
def test_what_is_later_than_any_time_is_after_them_all(text: str) -> None:
    """The usual `no end` is one."""
    assert read_time(text).moment_ns == NS_MAX


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "1969-12-31T23:59:59.9Z", "2026-01-31T10:00:00.", "0001-01-01", "-7d", "7y"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """As is what was before 1970."""
    with pytest.raises(ValueError):  # noqa: PT011 - its text is the caller's to make
        read_time(text)

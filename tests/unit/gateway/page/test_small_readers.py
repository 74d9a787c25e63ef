# SPDX-License-Identifier: Apache-2.0
"""What comes from outside and is no telemetry: trace URLs, forms, cookies, where to go on, places in lists."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.page.doors import safe_next
from agent_outcomes.gateway.page.forms import FORM_MAX_BYTES, FORM_TYPE, FormError, parse_fields, read_form
from agent_outcomes.gateway.page.rendering import address
from agent_outcomes.gateway.page.run_list import Wanted, place_text, read_place, read_wanted, run_filter
from agent_outcomes.gateway.page.trace_links import read_trace_url
from agent_outcomes.gateway.page.visits import VISIT_S, VISITS_MAX, Visits, is_cookie

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.backends

OUTCOME_ID = "0123456789abcdef0123456789abcdef-0123456789abcdef"


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("http://localhost:16686/trace/{trace_id}", "http://localhost:16686/trace/0123456789abcdef0123456789abcdef"),
        (" https://x/e?q=%22{trace_id}%22#{trace_id} ", None),
        ("https://grafana.example/explore?left={trace_id}", None),
    ],
)
def test_a_trace_url_has_the_trace_id_in_it(template: str, link: str | None) -> None:
    """Wherever in path, query or fragment its place is."""
    made = read_trace_url(template).of(OUTCOME_ID)
    assert made == (link or template.strip().replace("{trace_id}", OUTCOME_ID[:32]))


@pytest.mark.parametrize(
    "template",
    [
        "",
        "javascript:alert({trace_id})",
        "data:text/html,{trace_id}",
        "//x/{trace_id}",
        "/trace/{trace_id}",
        "http:///{trace_id}",
        "http://x/trace",
        "http://{trace_id}.evil/",
        "http://x/{trace_id} onclick=x",
        "http://x/\n{trace_id}",
        "http://[x/{trace_id}",
        "ftp://x/{trace_id}",
        "http://x/{trace_id}" + "a" * 3000,
    ],
)
def test_what_is_no_link_for_a_browser_is_refused(template: str) -> None:
    """The words name a URL that would do, and not what was given."""
    with pytest.raises(ValueError, match=r"the trace URL .* give a URL such as http://localhost:16686"):
        read_trace_url(template)


@given(text=st.text(max_size=60) | st.from_regex(r"\A[/\\:a-z?#.]{0,12}\Z"))
def test_where_to_go_on_is_always_a_page_of_ours(text: str) -> None:
    """Whatever a link says, a browser stays on this site."""
    onward = safe_next(text)
    assert onward.startswith("/")
    assert onward.isprintable()
    assert onward[1:2] not in {"/", "\\"}
    parts = urlsplit(onward)
    assert (parts.scheme, parts.netloc) == ("", "")
    assert onward in {text, "/"}


@given(fields=st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=20), max_size=9))
def test_a_form_is_read_as_it_was_typed(fields: dict[str, str]) -> None:
    """But for blanks around; what is blank is left out."""
    try:
        encoded = urlencode(fields).encode("ascii")
    except UnicodeEncodeError:
        return
    assert parse_fields(encoded) == {name: value.strip() for name, value in fields.items() if value.strip()}


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_form_or_refused_as_one(content: bytes) -> None:
    """Nothing else is raised."""
    with suppress(FormError):
        assert all(value == value.strip() for value in parse_fields(content).values())


def test_a_form_is_not_read_to_the_end_if_it_is_too_long() -> None:
    """Nor one of another type at all."""
    given_parts = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal given_parts
        while True:
            given_parts += 1
            yield b"a" * 1024

    with pytest.raises(FormError) as refused:
        asyncio.run(read_form(f"{FORM_TYPE}; charset=utf-8", parts()))
    assert refused.value.status == 413
    assert given_parts == FORM_MAX_BYTES // 1024 + 1
    with pytest.raises(FormError) as refused:
        asyncio.run(read_form("multipart/form-data; boundary=x", parts()))
    assert refused.value.status == 415
    assert given_parts == FORM_MAX_BYTES // 1024 + 1


def test_a_visit_ends_after_its_time_and_the_oldest_for_one_too_many() -> None:
    """There are never more than so many; each cookie is new, and its tokens are its own."""
    visits = Visits()
    first = visits.begin("secret-0", 0.0)
    assert visits.secret_of(first, VISIT_S - 1) == "secret-0"
    assert visits.secret_of(first, VISIT_S) is None
    cookies = [visits.begin(f"secret-{number}", 1.0) for number in range(VISITS_MAX + 5)]
    assert len(set(cookies)) == len(cookies)
    assert all(map(is_cookie, cookies))
    held = [visits.secret_of(cookie, 2.0) for cookie in cookies]
    assert held == [None] * 5 + [f"secret-{number}" for number in range(5, VISITS_MAX + 5)]
    visits.end(cookies[-1])
    assert visits.secret_of(cookies[-1], 2.0) is None
    assert "secret" not in repr(vars(visits))
    token = visits.form_token(first)
    assert visits.is_form_token(token, first)
    assert not visits.is_form_token(token, cookies[0])
    assert not visits.is_form_token("", first)
    assert not Visits().is_form_token(token, first)


@given(text=st.text(max_size=80))
def test_only_what_can_be_one_of_ours_is_a_cookie(text: str) -> None:
    """Anything else is as none."""
    assert not is_cookie(text) or (text.isascii() and 0 < len(text) <= 64)


@given(ended=st.integers(0, 2**63 - 1), row=st.integers(0, 2**63 - 1), text=st.text(max_size=45))
def test_a_place_in_a_list_goes_into_an_address_and_back(ended: int, row: int, text: str) -> None:
    """What is no place is the beginning; no number is greater than a database takes."""
    assert read_place(place_text((ended, row)) or "") == (ended, row)
    place = read_place(text)
    assert place is None or max(place) < 2**63
    assert read_place(f"{2**63}.1") is None


@given(
    query=st.dictionaries(
        st.sampled_from(Wanted._fields), st.text(max_size=300) | st.sampled_from(["pending", "success", "custom", "7d"])
    )
)
def test_any_query_asks_for_something(query: dict[str, str]) -> None:
    """And the address of what it asks for asks for the same."""
    wanted = read_wanted(query)
    assert read_wanted(wanted._asdict()) == wanted
    assert run_filter(wanted, None, None, 10**18).limit == 100
    assert address("/runs", **wanted._asdict()).startswith("/runs")

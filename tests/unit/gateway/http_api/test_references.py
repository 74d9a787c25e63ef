# SPDX-License-Identifier: Apache-2.0
"""What headers say of a report: one reading for our own requests and for those in other systems' shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.http_api.references import CONDITIONS_MAX, etag_of, idempotency_of, with_condition, with_key
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused

pytestmark = pytest.mark.backends

# As a header's value can be: printable, with spaces and quotes, and whatever Latin letters.
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=300)
QUOTED = VALUES.map('"{}"'.format)


def _is_etagc(character: str) -> bool:
    """Whether it may stand in an entity tag (RFC 9110, 8.8.3)."""
    return character == "!" or "#" <= character <= "~" or character >= "\x80"


@given(VALUES | QUOTED)
def test_a_key_is_taken_as_the_document_says_or_refused(value: str) -> None:
    """1 to 256 characters with their quotes, of which one pair is no part of it, and nothing else is taken off."""
    text = value.strip()
    inner = text[1:-1] if len(text) > 1 and text.startswith('"') and text.endswith('"') else text
    if not inner or len(text) > 256:
        with pytest.raises(ReportRefused) as refused:
            idempotency_of({"idempotency-key": value})
        assert list(refused.value.fields) == ["idempotency_key"]
        return
    assert idempotency_of({"idempotency-key": value}) == {"idempotency_key": inner}
    assert with_key({}, {"idempotency-key": value}) == {"idempotency_key": inner}


def test_without_a_header_there_is_none() -> None:
    """Nor are other headers looked at."""
    assert idempotency_of({"if-match": '"0"'}) == {}


OPAQUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, blacklist_characters='"').filter(_is_etagc))
OWN = st.integers(0, 9).map(etag_of)
TAGS = OWN | OPAQUE.map('"{}"'.format) | OPAQUE.map('W/"{}"'.format) | OWN.map("W/{}".format)
GAPS = st.sampled_from([",", ", ", " ,", ",\t", ", , ", " ,,"])


@given(st.lists(st.tuples(TAGS, GAPS), min_size=1, max_size=6), st.integers(1, 6))
def test_a_condition_is_every_revision_that_is_listed(listed: list[tuple[str, str]], cut: int) -> None:
    """In one line or several. Others' tags and weak ones match nothing, and no comma within a tag ends it."""
    tags = [tag for tag, _ in listed]
    own = sorted({int(tag.strip('"')) for tag in tags if tag in {etag_of(each) for each in range(10)}})
    parts = [part for part in (listed[:cut], listed[cut:]) if part]
    lines = ["".join(f"{tag}{gap}" for tag, gap in part) for part in parts]
    if not own:
        with pytest.raises(ReportRefused) as refused:
            with_condition({"success": True}, lines)
        assert refused.value.code is RefusalCode.STALE_REVISION
        return
    made = with_condition({"success": True}, lines)
    assert made == [{"success": True, "if_revision": revision} for revision in own]


@pytest.mark.parametrize(
    "lines",
    [
        [""],
        [","],
        ["0"],
        ['"0'],
        ['"0" "1"'],
        ['w/"0"'],
        ['"a b"'],
        ["*, *"],
        ['*, "0"'],
        ['"0"', "*"],
        [", , " * 9_000 + "x"],
        ['"0"' + " ,\t" * 9_000 + "x"],
        [",".join(map(etag_of, range(CONDITIONS_MAX + 1)))],
    ],
)
def test_what_is_no_list_of_tags_is_no_condition(lines: list[str]) -> None:
    """Nor is one that is too long; and it is seen at once."""
    with pytest.raises(ReportRefused) as refused:
        with_condition({}, lines)
    assert (refused.value.code, refused.value.fields) == (RefusalCode.INVALID_REPORT, ("if_revision",))


def test_any_revision_and_none_at_all_are_no_conditions() -> None:
    """A run that is known has one."""
    assert with_condition({"label": "a"}, []) == with_condition({"label": "a"}, [" * "]) == [{"label": "a"}]


def test_tags_are_compared_by_their_characters() -> None:
    with pytest.raises(ReportRefused) as refused:
        with_condition({}, ['"01"'])
    assert refused.value.code is RefusalCode.STALE_REVISION
    assert with_condition({}, ['"1", "01"']) == [{"if_revision": 1}]

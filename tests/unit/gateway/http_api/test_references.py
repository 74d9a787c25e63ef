# SPDX-License-Identifier: Apache-2.0
"""What headers say of a report: one reading for our own requests and for those in other systems' shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.http_api.references import idempotency_of, with_headers
from agent_outcomes.ledger.book.refusals import ReportRefused

pytestmark = pytest.mark.backends

# As a header's value can be: printable, with spaces and quotes, and whatever Latin letters.
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=300)
QUOTED = VALUES.map('"{}"'.format)


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
    assert with_headers({}, {"idempotency-key": value}) == {"idempotency_key": inner}


def test_without_a_header_there_is_none() -> None:
    """Nor are other headers looked at."""
    assert idempotency_of({"if-match": '"0"'}) == {}

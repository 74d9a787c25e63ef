# SPDX-License-Identifier: Apache-2.0
"""Text of others on a terminal: one line, nothing hidden, nothing that moves the cursor."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.printable import printable

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_blanks_of_any_width_are_plain_ones() -> None:
    """Unicode's space separators, and no other character, stand as a blank."""
    separators = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Zs"}
    assert {chr(code) for code in range(sys.maxunicode + 1) if printable(chr(code)) == " "} == separators


@given(text=ANY_TEXT)
def test_any_text_becomes_one_line_that_a_terminal_shows_as_it_is(text: str) -> None:
    """Whatever characters there are, lone surrogates among them; what was fit already stays as it was."""
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert shown == text or not text.isprintable()


@given(text=ANY_TEXT, length_max=st.integers(3, 40))
def test_no_text_becomes_longer_than_told(text: str, length_max: int) -> None:
    """Escapes count as they are written, and a text that was cut says so."""
    shown = printable(text, length_max)
    assert shown.isprintable()
    assert len(shown) <= length_max
    assert shown == printable(text) or shown.endswith("...")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nFAKE", r"a\r\nFAKE"),
        ("\x1b[2J\x9b31m\x00", r"\x1b[2J\x9b31m\x00"),
        ("\u202egnp\u2066\u2028", r"\u202egnp\u2066\u2028"),
        ("\ud800", r"\ud800"),
        ("a\u00a0b\u3000c", "a b c"),
        ("Zürich 東京", "Zürich 東京"),
    ],
)
def test_what_would_not_show_is_escaped_as_in_a_literal(text: str, shown: str) -> None:
    """So that a reader sees what was there; blanks of any width become plain ones."""
    assert printable(text) == shown

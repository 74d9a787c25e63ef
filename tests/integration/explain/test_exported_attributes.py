# SPDX-License-Identifier: Apache-2.0
"""An exported span holds its attributes as the SDK's own would, whether they had to be cleaned or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from agent_outcomes.explain.exported import SpanParts, exported_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

SCALARS = st.one_of(st.text(max_size=4), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False))
VALUES = st.one_of(
    SCALARS,
    st.binary(max_size=4),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(st.text(max_size=3), max_size=3).map(tuple),
    st.lists(st.one_of(st.none(), st.integers(-9, 9)), max_size=3).map(tuple),
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=6), st.integers(0, 9))
@pytest.mark.filterwarnings("ignore")
def test_attributes_are_held_as_the_sdk_holds_them(attributes: Mapping[str, AttributeValue], dropped: int) -> None:
    """Values and their types, their order, what was dropped, and that nobody can change them."""
    given_before = repr(attributes)
    parts = SpanParts(b"t" * 16, b"s" * 8, b"", 0, "span", 1, 1, 2, attributes, dropped, (), 0, "")
    held = exported_span(parts, Resource({}), InstrumentationScope("scope")).span
    expected = BoundedAttributes(attributes=attributes)
    assert held.attributes is not None
    assert [(key, repr(value)) for key, value in held.attributes.items()] == [
        (key, repr(value)) for key, value in expected.items()
    ]
    assert held.dropped_attributes == dropped
    with pytest.raises(TypeError):
        held.attributes["new"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    assert repr(attributes) == given_before

# SPDX-License-Identifier: Apache-2.0
"""Bodies as they are read: amounts to the digit, metadata as any JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.http_api.bodies import fields_of
from agent_outcomes.gateway.http_api.problems import RequestRefused

if TYPE_CHECKING:
    from random import Random

pytestmark = pytest.mark.backends

NAMES = st.text("abcmé", min_size=1, max_size=3)
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4)
METADATA = st.recursive(
    FRACTIONS | LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
BODIES = st.recursive(
    st.fixed_dictionaries({"metadata": METADATA, "value": FRACTIONS}),
    lambda inner: (
        st.dictionaries(NAMES, inner, min_size=1, max_size=2)
        | st.fixed_dictionaries({"x": st.lists(inner, max_size=2)})
    ),
    max_leaves=4,
)


def in_metadata(node: Any, *, inside: bool = False) -> list[tuple[bool, Any]]:
    """Every leaf, and whether it stands in metadata."""
    if isinstance(node, dict):
        return [leaf for name, one in node.items() for leaf in in_metadata(one, inside=inside or name == "metadata")]
    if isinstance(node, list):
        return [leaf for one in node for leaf in in_metadata(one, inside=inside)]
    return [(inside, node)]


@given(BODIES, st.booleans())
def test_metadata_is_plain_at_any_depth_and_nothing_else_is(
    body: dict[str, Any],
    is_escaped: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """However its name is written."""
    content = json.dumps(body)
    read = fields_of((content.replace('"metadata"', '"\\u006detadata"') if is_escaped else content).encode())
    leaves = in_metadata(read)
    assert not any(isinstance(leaf, Decimal) for inside, leaf in leaves if inside)
    assert not any(isinstance(leaf, float) for inside, leaf in leaves if not inside)
    assert json.loads(json.dumps(read, default=float)) == json.loads(content)


@given(BODIES, st.randoms(use_true_random=False))
def test_a_name_that_is_there_twice_is_refused_and_named(body: dict[str, Any], random: Random) -> None:
    """At whatever depth, in metadata too, with the same value or another, and however it is written."""

    def written(node: Any) -> str:
        if isinstance(node, list):
            return f"[{', '.join(map(written, node))}]"
        if not isinstance(node, dict):
            return json.dumps(node)
        pairs = [f"{json.dumps(name)}: {written(one)}" for name, one in node.items()]
        if node is repeated:
            pairs.insert(random.randint(0, len(pairs)), random.choice(['"twice": 1', '"\\u0074wice": null']))
            pairs.insert(random.randint(0, len(pairs)), '"twice": 1')
        return f"{{{', '.join(pairs)}}}"

    def objects(node: Any) -> list[dict[str, Any]]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node] if isinstance(node, dict) else []
        return [*own, *(each for one in inner for each in objects(one))]

    repeated = None
    assert fields_of(written(body).encode()).keys() == body.keys()
    repeated = random.choice(objects(body))
    with pytest.raises(RequestRefused) as refused:
        fields_of(written(body).encode())
    assert (refused.value.status, refused.value.fields) == (400, ("twice",))


def test_a_name_that_may_be_anything_is_not_quoted() -> None:
    with pytest.raises(RequestRefused) as refused:
        fields_of(b'{"sk-secret": 1, "sk-secret": 2}')
    assert "secret" not in refused.value.detail


@pytest.mark.parametrize("opened", ["[", '{"a":', '{"metadata":'])
def test_what_is_nested_too_deeply_is_refused(opened: str) -> None:
    with pytest.raises(RequestRefused):
        fields_of(b'{"metadata": 1, "x": ' + opened.encode() * 20_000)
    closed = "]" if opened == "[" else "}"
    with pytest.raises(RequestRefused):
        fields_of(f'{{"metadata": 1, "x": {opened * 20_000}1{closed * 20_000}}}'.encode())

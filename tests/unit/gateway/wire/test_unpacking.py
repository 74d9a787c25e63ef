# SPDX-License-Identifier: Apache-2.0
"""Compressed bodies come out as they went in, and what is too large never comes out."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from random import Random
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.settings import ReceiverLimits
from agent_outcomes.gateway.wire.errors import TooMuchError, WireError
from agent_outcomes.gateway.wire.intake import Packing
from agent_outcomes.gateway.wire.unpacking import PIECES_MAX, unpack
from tests.otlp_requests import changed_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.backends

LIMITS = ReceiverLimits()
PACKS: dict[Packing, Callable[[bytes], bytes]] = {
    Packing.GZIP: gzip.compress,
    Packing.ZSTD: zstandard.ZstdCompressor().compress,
    Packing.IDENTITY: bytes,
}
COMPRESSED = [Packing.GZIP, Packing.ZSTD]


def some_bytes(random: Random) -> bytes:
    return b"".join(random.choice((random.randbytes(9), b"again", bytes(99))) for _ in range(random.randint(0, 99)))


@pytest.mark.parametrize("packing", Packing)
@given(st.lists(st.integers(0, 2**64).map(Random), min_size=1, max_size=4))
def test_what_was_compressed_comes_out(packing: Packing, parts: list[Random]) -> None:
    """Also of several members or frames, one behind the other."""
    bodies = [some_bytes(random) for random in parts]
    assert unpack(b"".join(map(PACKS[packing], bodies)), packing, LIMITS) == b"".join(bodies)


@pytest.mark.parametrize("packing", COMPRESSED)
@given(st.integers(0, 2**64).map(Random))
def test_what_is_cut_off_is_refused(packing: Packing, random: Random) -> None:
    """Nothing of it is taken for whole."""
    packed = PACKS[packing](some_bytes(random))
    with pytest.raises(WireError, match=f"not whole {packing} data"):
        unpack(packed[: random.randrange(len(packed))], packing, LIMITS)


@pytest.mark.parametrize("packing", COMPRESSED)
@given(st.integers(0, 2**64).map(Random))
def test_changed_bytes_raise_wire_errors_only(packing: Packing, random: Random) -> None:
    """And a changed gzip body is not taken for the body: its checksum says so."""
    body = some_bytes(random)
    try:
        unpacked = unpack(changed_bytes(PACKS[packing](body), random), packing, LIMITS)
    except WireError:
        return
    assert packing is Packing.ZSTD or unpacked == body


@pytest.mark.parametrize("packing", COMPRESSED)
@pytest.mark.parametrize("packed", [b"", b"\x1f", b"plain", zlib.compress(b"deflate")])
def test_what_is_not_compressed_is_refused(packing: Packing, packed: bytes) -> None:
    """Nothing is no body of any compression."""
    with pytest.raises(WireError):
        unpack(packed, packing, LIMITS)


@pytest.mark.parametrize("packing", COMPRESSED)
@pytest.mark.parametrize("size_mib", [17, 300])
def test_a_bomb_is_given_up_before_it_is_there(packing: Packing, size_mib: int) -> None:
    """Memory stays near the bound, whatever the bomb would become."""
    packed = PACKS[packing](bytes(size_mib * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(TooMuchError, match="inflates to more than"):
            unpack(packed, packing, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 2 * LIMITS.inflated_max_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", Packing)
def test_the_bound_is_exact(packing: Packing) -> None:
    """As much as is allowed comes out, and one byte more does not."""
    limits = ReceiverLimits(inflated_max_bytes=5_000)
    body = Random(1).randbytes(5_000)
    assert unpack(PACKS[packing](body), packing, limits) == body
    with pytest.raises(TooMuchError, match="more than 5000 bytes"):
        unpack(PACKS[packing](body + b"x"), packing, limits)


@pytest.mark.parametrize("packing", COMPRESSED)
def test_a_large_body_may_not_be_much_larger_than_what_came(packing: Packing) -> None:
    """A small one may, as text that repeats compresses well."""
    small, large = bytes(LIMITS.inflated_ratio_free_bytes), bytes(LIMITS.inflated_ratio_free_bytes + 1)
    assert unpack(PACKS[packing](small), packing, LIMITS) == small
    with pytest.raises(TooMuchError):
        unpack(PACKS[packing](large), packing, LIMITS)
    mixed = Random(2).randbytes(300_000) + bytes(4 * 2**20)
    assert unpack(PACKS[packing](mixed), packing, LIMITS) == mixed


@pytest.mark.parametrize("packing", COMPRESSED)
def test_a_body_in_many_pieces_is_too_much(packing: Packing) -> None:
    """Each costs time, however small it is."""
    piece = PACKS[packing](b"x")
    assert unpack(piece * PIECES_MAX, packing, LIMITS) == b"x" * PIECES_MAX
    with pytest.raises(TooMuchError):
        unpack(piece * (PIECES_MAX + 1), packing, LIMITS)


def test_a_window_beyond_what_a_decoder_has_to_support_is_refused() -> None:
    """It would be allocated before a byte is there."""
    wide = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    with pytest.raises(WireError):
        unpack(compressor.compress(b"x" * 100) + compressor.flush(), Packing.ZSTD, LIMITS)

# SPDX-License-Identifier: Apache-2.0
"""Compressed bodies inflated, never beyond a bound: what would go beyond is given up before it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, cast

import zstandard
from isal import igzip_lib

from agent_outcomes.gateway.wire.errors import TooMuchError, WireError
from agent_outcomes.gateway.wire.intake import Packing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_outcomes.gateway.settings import ReceiverLimits

# What follows a member is copied for each, so that their number is bounded, too.
PIECES_MAX: Final = 256
# The smallest window that every decoder has to support (RFC 8878, 3.1.1.1.2); it is allocated ahead.
_WINDOW_MAX_BYTES: Final = 8 * 2**20
# So much of a zstd frame can become no more than 128 blocks, each of at most 128 KiB.
_FEED_BYTES: Final = 512
# Its stubs call it an exception rather than a class of them.
_IsalError: Final = cast("type[Exception]", igzip_lib.IsalError)


def unpack(packed: bytes, packing: Packing, limits: ReceiverLimits) -> bytes:
    """The body before its compression.

    Raises `WireError` where it is not what it is said to be, `TooMuchError` where it is larger than the limits allow.
    """
    if packing is Packing.IDENTITY:
        _check_size(len(packed), limits.inflated_max_bytes)
        return packed
    return _INFLATES[packing](packed, _size_max(packed, limits))


def unpack_zlib(packed: bytes, limits: ReceiverLimits) -> bytes:
    """What the `deflate` of HTTP and gRPC was made of (RFC 1950). Raises as `unpack` does."""
    size_max = _size_max(packed, limits)
    inflating = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB)
    try:
        body = inflating.decompress(packed, size_max + 1)
    except _IsalError:
        _refuse("deflate")
    _check_size(len(body), size_max)
    if not inflating.eof or inflating.unused_data:
        _refuse("deflate")
    return body


def _size_max(packed: bytes, limits: ReceiverLimits) -> int:
    ratio_bound = max(limits.inflated_ratio_free_bytes, limits.inflated_ratio_max * len(packed))
    return min(limits.inflated_max_bytes, ratio_bound)


def _gunzipped(packed: bytes, size_max: int) -> bytes:
    """All members of a gzip file (RFC 1952), one after the other."""
    pieces: list[bytes] = []
    left = size_max
    for _ in range(PIECES_MAX):
        inflating = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        try:
            piece = inflating.decompress(packed, left + 1)
        except _IsalError:
            _refuse(Packing.GZIP)
        left -= len(piece)
        _check_size(size_max - left, size_max)
        if not inflating.eof:
            _refuse(Packing.GZIP)
        pieces.append(piece)
        packed = inflating.unused_data
        if not packed:
            return b"".join(pieces) if len(pieces) > 1 else piece
    message = f"a gzip body of more than {PIECES_MAX} members"
    raise TooMuchError(message)


def _unzstd(packed: bytes, size_max: int) -> bytes:
    """All frames of zstd data (RFC 8878), one after the other."""
    context = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX_BYTES)
    pieces: list[bytes] = []
    size = at = 0
    for _ in range(PIECES_MAX):
        inflating = context.decompressobj()
        while not inflating.eof:
            if at >= len(packed):
                _refuse(Packing.ZSTD)
            try:
                piece = inflating.decompress(packed[at : at + _FEED_BYTES])
            except zstandard.ZstdError:
                _refuse(Packing.ZSTD)
            at += _FEED_BYTES
            size += len(piece)
            _check_size(size, size_max)
            pieces.append(piece)
        at = min(at, len(packed)) - len(inflating.unused_data)
        if at >= len(packed):
            return b"".join(pieces)
    message = f"a zstd body of more than {PIECES_MAX} frames"
    raise TooMuchError(message)


def _check_size(size: int, size_max: int) -> None:
    if size > size_max:
        message = f"the request inflates to more than {size_max} bytes; send smaller batches"
        raise TooMuchError(message)


def _refuse(packing: str) -> NoReturn:
    message = f"the body is not whole {packing} data"
    raise WireError(message) from None


_INFLATES: Final[Mapping[Packing, Callable[[bytes, int], bytes]]] = {
    Packing.GZIP: _gunzipped,
    Packing.ZSTD: _unzstd,
}

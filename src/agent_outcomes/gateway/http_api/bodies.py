# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: bounded, JSON, and numbers as the exact decimals that were written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agent_outcomes.gateway.http_api.problems import RequestCode, RequestRefused
from agent_outcomes.otlp.json_values import repeated_name

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_MAX_BYTES: Final = 256 * 2**10
BATCH_MAX_BYTES: Final = 4 * 2**20
_JSON: Final = "application/json"
_METADATA: Final = "metadata"
_EXACT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
# Metadata is told on as JSON, which knows no decimals.
_PLAIN: Final = msgspec.json.Decoder(dict[str, Any])


class _RepeatError(Exception):
    """An object has this name twice."""


def _refuse_repeats(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _RepeatError(repeated_name(pairs))


_REPEATS: Final = json.JSONDecoder(object_pairs_hook=_refuse_repeats, parse_int=str, parse_float=str)


async def read_json_body(request: Request, max_bytes: int = BODY_MAX_BYTES) -> bytes:
    """The body of a request that says that it is JSON; raises `RequestRefused` (415, 413)."""
    _check_type(request)
    too_large = RequestRefused(RequestCode.BODY_TOO_LARGE, f"the body may have {max_bytes} bytes; send less at once")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > len(str(max_bytes)) or int(declared) > max_bytes):
        raise too_large
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > max_bytes:
            raise too_large
    return bytes(content)


async def read_fields(request: Request, max_bytes: int = BODY_MAX_BYTES) -> dict[str, Any]:
    """The fields of a body that is one JSON object; raises `RequestRefused` (400, 413, 415).

    A number with a fraction is the decimal that was written; only within `metadata` it is a double.
    """
    return fields_of(await read_json_body(request, max_bytes))


def fields_of(content: bytes) -> dict[str, Any]:
    """The fields of one JSON object, as `read_fields` has them; raises `RequestRefused` (400).

    One that has a name twice, at whatever depth, is refused: which of the two is meant nobody knows (RFC 8259, 4).
    """
    named: tuple[str, ...] = ()
    try:
        exact = _EXACT.decode(content)
        _REPEATS.decode(content.decode())
        may_have_metadata = b'"metadata"' in content or b"\\u" in content
        return _with_plain_metadata(exact, _PLAIN.decode(content)) if may_have_metadata else exact
    except msgspec.ValidationError:
        said = "the body takes one JSON object, and its names in quotes"
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = "the body is no JSON in UTF-8; correct it"
    except (RecursionError, ArithmeticError):
        said = "the body is nested too deeply, or has a number that is too large"
    except _RepeatError as error:
        named = error.args
        said = f"{error} is given twice in one object; give it once"
    raise RequestRefused(RequestCode.INVALID_BODY, said, named)


def _with_plain_metadata(exact: Any, plain: Any) -> Any:
    """The same with what stands in `metadata`, at whatever depth, as it is in `plain`."""
    if isinstance(exact, dict):
        return {
            name: plain[name] if name == _METADATA else _with_plain_metadata(value, plain[name])
            for name, value in exact.items()
        }
    if isinstance(exact, list):
        return [_with_plain_metadata(*pair) for pair in zip(exact, plain, strict=True)]
    return exact


def _check_type(request: Request) -> None:
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    is_json = kind.strip() == _JSON or (kind.strip().startswith("application/") and kind.strip().endswith("+json"))
    charsets = [text.strip() for text in parameters if text.strip().startswith("charset")]
    if not is_json or any(text.partition("=")[2].strip(' "') not in {"utf-8", "utf8"} for text in charsets):
        said = "the body takes JSON in UTF-8; say Content-Type: application/json"
        raise RequestRefused(RequestCode.UNSUPPORTED_MEDIA_TYPE, said)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        said = "the body is taken without compression only; leave Content-Encoding out"
        raise RequestRefused(RequestCode.UNSUPPORTED_MEDIA_TYPE, said)

# SPDX-License-Identifier: Apache-2.0
"""How long an error asks to wait: HTTP headers, gRPC's retry details, and what exceptions call it themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.foreign_exceptions import class_module, classes_of
from agent_outcomes.outcome import misuse
from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.exception_reader import causes, leaves
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import asked, is_a

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

RETRY_AFTER_MAX_S: Final = 86_400.0

# Seconds that one of the value is; milliseconds are read first, as they say the same more precisely.
ATTRIBUTES: Final[Mapping[str, float]] = {
    "retry_after_ms": 0.001,
    "retry_after": 1.0,
    "retry_after_s": 1.0,
    "retry_after_seconds": 1.0,
    "retry_delay": 1.0,
    "next_retry_delay": 1.0,
}
HEADERS: Final[Mapping[str, float]] = {
    "retry-after-ms": 0.001,
    "x-ms-retry-after-ms": 0.001,
    "retry-after": 1.0,
}
GRPC_RETRY_INFO: Final = "google.rpc.retryinfo-bin"
GRPC_STATUS_DETAILS: Final = "grpc-status-details-bin"
_HEADERS_OF: Final = (("response", "headers"), ("headers",))
_NUMBER: Final = Pattern(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)
_NUMBER_MAX: Final = 10**12
_TEXT_LENGTH_MAX: Final = 64
_DETAILS_BYTES_MAX: Final = 16_384
_DETAILS_MAX: Final = 32


def retry_after_s(error: BaseException | None) -> float | None:
    """The seconds that an error asks to wait before the next try, `None` if it does not say; at most a day.

    Looks at the error and then along its `__cause__`s: attributes such as `retry_after`, the HTTP headers
    `retry-after-ms` and `retry-after` (seconds or a date) of its response, gRPC's RetryInfo. Of a group it is the
    longest that an error in it asks for. `None` asks for nothing. Raises `TypeError` for anything else that is no
    exception, and nothing else.
    """
    if error is None:
        return None
    if not is_a(error, BaseException):
        raise misuse.no_exception(error, "retry_after_s()")
    chains = ([error], *(causes(one) for one in members)) if (members := leaves(error)) else (causes(error),)
    asked_s = [wait_s for wait_s in map(_asked_s, chains) if wait_s is not None]
    return min(max(asked_s), RETRY_AFTER_MAX_S) if asked_s else None


def _asked_s(chain: Iterable[BaseException]) -> float | None:
    for one in chain:
        for waits in (_from_attributes(one), _from_headers(one), _from_metadata(one), _from_details_of(one)):
            # An error whose own methods raise does not say how long to wait.
            wait_s: float | None = asked(partial(next, waits, None))
            if wait_s is not None:
                return wait_s
    return None


def _from_attributes(error: BaseException) -> Iterator[float]:
    for name, unit_s in ATTRIBUTES.items():
        yield from _seconds(look(error, name), unit_s)


def _from_headers(error: BaseException) -> Iterator[float]:
    for headers in _headers_of(error):
        for name, unit_s in HEADERS.items():
            value = _header(headers, name)
            yield from _seconds(value, unit_s)
            yield from _until(value, _header(headers, "date"))


def _headers_of(error: BaseException) -> Iterator[object]:
    yield from (look(error, *path) for path in _HEADERS_OF)
    response = look(error, "response")
    # botocore's ClientError carries the answer in a plain dict.
    metadata = dict.get(response, "ResponseMetadata") if is_a(response, dict) else None
    yield dict.get(metadata, "HTTPHeaders") if is_a(metadata, dict) else None


def _header(headers: object, name: str) -> object:
    get = look(headers, "get")
    if not callable(get):
        return None
    # Some mappings heed the case.
    return asked(lambda: get(name) or get(name.title()))


def _from_metadata(error: BaseException) -> Iterator[float]:
    # Only gRPC's own errors: calling an unknown object's method could do anything.
    if not any(class_module(cls).partition(".")[0] == "grpc" for cls in classes_of(type(error))):
        return
    method = look(error, "trailing_metadata")
    pairs: Any = method() if callable(method) else None
    for name, value in pairs or ():
        if is_a(name, str) and is_a(value, bytes) and len(value) <= _DETAILS_BYTES_MAX:
            # Bytes that are no such message, or that nothing here can read, say nothing.
            yield from _from_details(asked(_details_in, str.__str__(name), value))


def _from_details_of(error: BaseException) -> Iterator[float]:
    # google.api_core has read the details already.
    yield from _from_details(look(error, "details"))


def _details_in(name: str, value: bytes) -> list[Any]:
    if name not in (GRPC_RETRY_INFO, GRPC_STATUS_DETAILS):
        return []
    # Only errors of gRPC need them; the package says nothing of its types.
    from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # noqa: PLC0415 - as said
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # noqa: PLC0415 - as said

    if name == GRPC_RETRY_INFO:
        return [RetryInfo.FromString(value)]
    infos = [(detail, RetryInfo()) for detail in Status.FromString(value).details[:_DETAILS_MAX]]
    return [info for detail, info in infos if detail.Unpack(info)]


def _from_details(details: object) -> Iterator[float]:
    for detail in details[:_DETAILS_MAX] if is_a(details, list) or is_a(details, tuple) else ():
        seconds, nanos = look(detail, "retry_delay", "seconds"), look(detail, "retry_delay", "nanos")
        if is_a(seconds, int) and is_a(nanos, int):
            yield from _seconds(seconds + nanos / 1e9, 1.0)


def _seconds(value: object, unit_s: float) -> Iterable[float]:
    if is_a(value, timedelta):
        asked_s = timedelta.total_seconds(value)
    elif is_a(value, str):
        text = str.__str__(value).strip() if str.__len__(value) <= _TEXT_LENGTH_MAX else ""
        asked_s = float(text) * unit_s if _NUMBER.fullmatch(text) else -1.0
    elif is_a(value, float):
        asked_s = float.__float__(value) * unit_s
    elif is_a(value, int) and not is_a(value, bool):
        # Before a float sees it: an integer past 1024 bit raises.
        asked_s = min(int.__int__(value), _NUMBER_MAX) * unit_s
    else:
        return ()
    # The comparison refuses NaN, too.
    return (asked_s,) if asked_s >= 0 else ()


def _until(value: object, sent: object) -> Iterable[float]:
    """The time until an HTTP date, on the server's own clock where the answer says what that was."""
    then = _date(value)
    if then is None:
        return ()
    now = _date(sent) or datetime.now(UTC)
    return (max((then - now).total_seconds(), 0.0),)


def _date(value: object) -> datetime | None:
    if not is_a(value, str) or str.__len__(value) > _TEXT_LENGTH_MAX:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import and rarely needed

    try:
        found = parsedate_to_datetime(str.__str__(value))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

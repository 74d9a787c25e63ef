# SPDX-License-Identifier: Apache-2.0
"""What each answer of an OTLP receiver means for the one who sent: a table, and the few words that do not fit in one.

After the OTLP specification 1.x, "OTLP/HTTP Response" and "OTLP/gRPC Response", with these differences, each because
what is thrown away for good may be money, while what is sent twice is told by its `log.record.uid` (an event) or
changes nothing (a cumulative metric):

- 408, 425, 500 and other 5xx, gRPC `INTERNAL` and `UNKNOWN` are tried again. The specification has a client drop what
  these answer. They tell of the receiver's own failure, and receivers do give 500 while they start, or lack a replica.
- 401, 403, 404 and the like tell of the set-up, not of the data: nothing is thrown away, and is sent when it is mended.
- A 3xx is never followed, as nobody has said that the data and the headers' secrets may go elsewhere.
- A 2xx counts as delivered only where its body is an OTLP answer (or empty): a login page is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_MAX: Final = 1_000
ASKED_WAIT_MAX_S: Final = 900.0
"""What a receiver may ask us to wait at most: a date in ten years is a slip, and must not stop the delivery."""
REPLY_MAX_BYTES: Final = 65_536
_DIGITS_MAX: Final = 9
_SUCCESSES: Final = range(200, 300)


class Verdict(StrEnum):
    """What the sender does next."""

    DELIVERED = "delivered"
    """The receiver has it all: forget it."""
    RETRY = "retry"
    """Keep it and send it again, not before `retry_after_s` where given."""
    REFUSED = "refused"
    """As it is, it will not be taken, in whole or in part: split it, so that what is refused alone is known."""
    MISCONFIGURED = "misconfigured"
    """The address, the credentials or what stands between are wrong: keep it, say so, send it again later."""


class Reason(StrEnum):
    """Why, in one stable word."""

    DELIVERED = "delivered"
    # Refused.
    REJECTED_IN_PART = "rejected_in_part"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    # Set-up.
    REDIRECTED = "redirected"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NO_SUCH_PATH = "no_such_path"
    UNSUPPORTED = "unsupported"
    NOT_OTLP = "not_otlp"
    REPLY_TOO_LARGE = "reply_too_large"
    UNTRUSTED = "untrusted"
    CANNOT_SEND = "cannot_send"
    # To be tried again.
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    NOT_RESOLVED = "not_resolved"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_LOST = "connection_lost"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    REPLY_CUT = "reply_cut"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    `rejected` counts the items that were not taken, where the receiver told their number. `message` is the receiver's
    own words, or the system's: one line, at most `MESSAGE_MAX` characters, escaped. `retry_after_s` is how many seconds
    the receiver asks to wait, `None` where it did not say.
    """

    verdict: Verdict
    reason: Reason
    rejected: int = 0
    message: str = ""
    retry_after_s: float | None = None


class AnswerRuling(NamedTuple):
    """One row's right side."""

    verdict: Verdict
    reason: Reason


_INVALID: Final = AnswerRuling(Verdict.REFUSED, Reason.INVALID)
_TOO_LARGE: Final = AnswerRuling(Verdict.REFUSED, Reason.TOO_LARGE)
_REDIRECTED: Final = AnswerRuling(Verdict.MISCONFIGURED, Reason.REDIRECTED)
_UNAUTHENTICATED: Final = AnswerRuling(Verdict.MISCONFIGURED, Reason.UNAUTHENTICATED)
_FORBIDDEN: Final = AnswerRuling(Verdict.MISCONFIGURED, Reason.FORBIDDEN)
_NO_SUCH_PATH: Final = AnswerRuling(Verdict.MISCONFIGURED, Reason.NO_SUCH_PATH)
_UNSUPPORTED: Final = AnswerRuling(Verdict.MISCONFIGURED, Reason.UNSUPPORTED)
_NOT_OTLP: Final = AnswerRuling(Verdict.MISCONFIGURED, Reason.NOT_OTLP)
_THROTTLED: Final = AnswerRuling(Verdict.RETRY, Reason.THROTTLED)
_UNAVAILABLE: Final = AnswerRuling(Verdict.RETRY, Reason.UNAVAILABLE)
_SERVER_ERROR: Final = AnswerRuling(Verdict.RETRY, Reason.SERVER_ERROR)
_TIMEOUT: Final = AnswerRuling(Verdict.RETRY, Reason.TIMEOUT)

HTTP_RULINGS: Final[Mapping[int, AnswerRuling]] = {
    401: _UNAUTHENTICATED,
    402: _FORBIDDEN,  # a plan's limit
    403: _FORBIDDEN,
    404: _NO_SUCH_PATH,
    405: _NO_SUCH_PATH,
    406: _UNSUPPORTED,
    407: _UNAUTHENTICATED,  # at the proxy
    408: _TIMEOUT,
    410: _NO_SUCH_PATH,
    411: _UNSUPPORTED,
    413: _TOO_LARGE,
    414: _NO_SUCH_PATH,
    415: _UNSUPPORTED,
    417: _UNSUPPORTED,
    421: _NO_SUCH_PATH,
    425: _UNAVAILABLE,  # RFC 8470: may be repeated
    426: _UNSUPPORTED,
    429: _THROTTLED,
    431: _UNSUPPORTED,  # the headers are the set-up's, not the data's
    501: _UNSUPPORTED,
    502: _UNAVAILABLE,
    503: _UNAVAILABLE,
    504: _UNAVAILABLE,
    505: _UNSUPPORTED,
    511: _UNAUTHENTICATED,  # at a captive portal
}
"""What a status but 2xx means; one that is not listed means what `_HTTP_CLASSES` says."""
_HTTP_CLASSES: Final[Mapping[int, AnswerRuling]] = {3: _REDIRECTED, 4: _INVALID, 5: _SERVER_ERROR}

GRPC_RULINGS: Final[Mapping[str, AnswerRuling]] = {
    "CANCELLED": _UNAVAILABLE,
    "UNKNOWN": _SERVER_ERROR,
    "INVALID_ARGUMENT": _INVALID,
    "DEADLINE_EXCEEDED": _TIMEOUT,
    "NOT_FOUND": _NO_SUCH_PATH,
    "ALREADY_EXISTS": _INVALID,
    "PERMISSION_DENIED": _FORBIDDEN,
    "RESOURCE_EXHAUSTED": _TOO_LARGE,  # with a RetryInfo: throttled
    "FAILED_PRECONDITION": _INVALID,
    "ABORTED": _UNAVAILABLE,
    "OUT_OF_RANGE": _UNAVAILABLE,
    "UNIMPLEMENTED": _NO_SUCH_PATH,
    "INTERNAL": _SERVER_ERROR,
    "UNAVAILABLE": _UNAVAILABLE,
    "DATA_LOSS": _UNAVAILABLE,
    "UNAUTHENTICATED": _UNAUTHENTICATED,
}
"""What a status code but OK means; one that is not listed is the receiver's own failure."""


class Failure(StrEnum):
    """What came in place of an answer."""

    NOT_RESOLVED = "not_resolved"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNREADABLE = "unreadable"
    REPLY_CUT = "reply_cut"
    REPLY_TOO_LARGE = "reply_too_large"
    CANNOT_SEND = "cannot_send"
    CLOSED = "closed"


FAILURES: Final[Mapping[Failure, AnswerRuling]] = {
    Failure.NOT_RESOLVED: AnswerRuling(Verdict.RETRY, Reason.NOT_RESOLVED),
    Failure.CONNECTION_REFUSED: AnswerRuling(Verdict.RETRY, Reason.CONNECTION_REFUSED),
    Failure.CONNECTION_LOST: AnswerRuling(Verdict.RETRY, Reason.CONNECTION_LOST),
    Failure.TIMEOUT: _TIMEOUT,
    Failure.UNREACHABLE: AnswerRuling(Verdict.RETRY, Reason.UNREACHABLE),
    Failure.TLS: AnswerRuling(Verdict.MISCONFIGURED, Reason.UNTRUSTED),
    Failure.UNREADABLE: AnswerRuling(Verdict.RETRY, Reason.UNREADABLE),
    Failure.REPLY_CUT: AnswerRuling(Verdict.RETRY, Reason.REPLY_CUT),
    Failure.REPLY_TOO_LARGE: AnswerRuling(Verdict.MISCONFIGURED, Reason.REPLY_TOO_LARGE),
    Failure.CANNOT_SEND: AnswerRuling(Verdict.MISCONFIGURED, Reason.CANNOT_SEND),
    Failure.CLOSED: AnswerRuling(Verdict.RETRY, Reason.CLOSED),
}


def of_http_status(status: int) -> AnswerRuling | None:
    """What a status means; `None` for a 2xx, which its body decides."""
    if status in _SUCCESSES:
        return None
    return HTTP_RULINGS.get(status) or _HTTP_CLASSES.get(status // 100, _NOT_OTLP)


def of_grpc_code(code: str, retry_after_s: float | None) -> AnswerRuling:
    """What a status code but OK means, by its name."""
    if code == "RESOURCE_EXHAUSTED" and retry_after_s is not None:
        return _THROTTLED
    return GRPC_RULINGS.get(code, _SERVER_ERROR)


def answered(ruling: AnswerRuling, message: str, retry_after_s: float | None = None) -> Answer:
    """The answer of a ruling, with the receiver's words."""
    wait_s = None if ruling.verdict is Verdict.REFUSED else retry_after_s
    return Answer(*ruling, message=worded(message), retry_after_s=wait_s)


def without_answer(failure: Failure, message: str) -> Answer:
    """The answer where none came."""
    return answered(FAILURES[failure], message)


def accepted(rejected: int, message: str) -> Answer:
    """The answer of a 2xx or an OK that was read: what it rejected and its words, which may be a warning."""
    if rejected > 0:
        return Answer(Verdict.REFUSED, Reason.REJECTED_IN_PART, rejected, worded(message))
    return Answer(Verdict.DELIVERED, Reason.DELIVERED, message=worded(message))


def not_otlp(message: str) -> Answer:
    """The answer of a 2xx that no OTLP receiver gives."""
    return answered(_NOT_OTLP, message)


def worded(message: str) -> str:
    """Words of others on one line, escaped and bounded."""
    return printable(" ".join(message[: 2 * MESSAGE_MAX].split()), MESSAGE_MAX)


def asked_wait_s(value: str, now_s: float) -> float | None:
    """The seconds of a Retry-After header, in either form (RFC 9110, 10.2.3); `None` where it cannot be read."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return bounded_wait_s(float(text) if len(text) <= _DIGITS_MAX else ASKED_WAIT_MAX_S)
    try:
        return bounded_wait_s(parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return None


def bounded_wait_s(seconds: float) -> float:
    """A wait that a receiver asks for, within what it may ask."""
    return min(max(seconds, 0.0), ASKED_WAIT_MAX_S)

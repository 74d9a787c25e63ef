# SPDX-License-Identifier: Apache-2.0
"""Reports that go to a gateway over HTTP: the same answers and refusals as those of a ledger.

The key goes to the one server that is named and nowhere else: no redirect is followed.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from agent_outcomes.ledger.book.refusals import (
    RETRYABLE,
    RefusalCode,
    Report,
    ReportRefused,
    ReportState,
    unavailable,
)
from agent_outcomes.outcome.amounts import parse_amount, plain_text
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.text import encodable, own_value
from agent_outcomes.printable import printable
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.ledger.book.reports import LateCost, LateReport, RunReference
    from agent_outcomes.otlp.http_exchange import HttpReply

GATEWAY_TIMEOUT_S: Final = 30.0
_TAKES: Final = "give the URL of a gateway, as http://127.0.0.1:8321"
_REFERENCES: Final = frozenset({"outcome_id", "trace_id", "run_id"})
# Longer than any field takes: what the gateway shortens, it lists.
_TEXT_LENGTH_MAX: Final = 20_000
_WORDS_MAX: Final = 1_000
_RETRIED: Final = frozenset({408, 425, 429, *range(500, 600)})
_SUCCESSES: Final = frozenset({200, 201, 202})
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class GatewayPlace:
    """Where a gateway is, and the key to it, which is in no `repr`."""

    url: str
    host: str
    port: int
    is_secure: bool
    key: str | None = field(default=None, repr=False)


class GatewayRequest(NamedTuple):
    """A report as it is sent; `has_own_key` says that its idempotency key is one of ours, for our own retries.

    `repaired` are the texts that could not be sent as they are.
    """

    method: str
    path: str
    body: bytes
    has_own_key: bool
    repaired: tuple[Problem, ...] = ()


def read_gateway(url: str, key: str | None) -> GatewayPlace:
    """The gateway that a URL names. Raises `SettingsError`, which shows neither user information nor the key."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        host = parts.hostname or ""
    except ValueError:
        message = f"gateway is no URL; {_TAKES}"
        raise SettingsError(message) from None
    if not (host and port):
        message = f"gateway is no URL of http or https; {_TAKES}"
        raise SettingsError(message)
    if parts.username is not None or parts.query or parts.fragment:
        message = f"gateway takes a URL without user, query and fragment, and the key by itself; {_TAKES}"
        raise SettingsError(message)
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key and key):
        message = "the gateway's key has characters that no key has; give it as agent-outcomes keys create printed it"
        raise SettingsError(message)
    start = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return GatewayPlace(start, host, port, parts.scheme == "https", key)


def outcome_request(late: LateReport, given: Mapping[str, Any], *, correct: bool, own_key: str) -> GatewayRequest:
    """A report that was read from these arguments, to be sent.

    Without an idempotency key it goes with `own_key`, so that an answer that was lost is given again.
    """
    fields = _sent(given) | {"correct": correct}
    if late.statement.metadata is not None:
        fields["metadata"] = late.statement.metadata
    has_own_key = late.idempotency_key is None
    if has_own_key:
        fields["idempotency_key"] = own_key
    repaired = tuple(each for each in late.statement.problems if each.kind is ProblemKind.TEXT_REPAIRED)
    return GatewayRequest("PUT", f"{_path(late.reference)}/outcome", _json(fields), has_own_key, repaired)


def cost_request(late: LateCost, given: Mapping[str, Any]) -> GatewayRequest:
    """A late cost that was read from these arguments, to be sent.

    Without an idempotency key the ledger knows a repeat by what it says.
    """
    return GatewayRequest("POST", f"{_path(late.reference)}/costs", _json(_sent(given)), has_own_key=False)


def ask_gateway(place: GatewayPlace, request: GatewayRequest) -> Report:
    """The gateway's answer. Raises `ReportRefused`, with LEDGER_UNAVAILABLE where there was none."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - for a report to a gateway only

    from agent_outcomes.otlp.http_exchange import USER_AGENT, HttpConnection, failure_of, trusting  # noqa: PLC0415
    from agent_outcomes.otlp.untraced import untraced  # noqa: PLC0415

    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
    if place.key is not None:
        headers["authorization"] = f"Bearer {place.key}"
    url = f"{place.url}{request.path}"
    try:
        connection = HttpConnection(place.host, place.port, trusting() if place.is_secure else None)
        try:
            reply = untraced(lambda: connection.ask(request.method, url, request.body, headers, GATEWAY_TIMEOUT_S))
        finally:
            connection.close()
    except (HTTPError, OSError) as error:
        said = f"gateway {place.host}:{place.port} gave no answer: {failure_of(error)[0].value}; report again later"
        raise unavailable(said) from None
    return _answer(place, request, reply)


def _sent(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(name, own_value(value))
        for name, value in given.items()
        if value is not None and name not in _REFERENCES
    }


def _plain(name: str, value: Any) -> Any:
    """A value that was read without complaint, as JSON carries it: an amount by its digits."""
    if name in {"value", "amount"}:
        amount = parse_amount(value)
        return value if amount is None else plain_text(amount)
    return encodable(value, _TEXT_LENGTH_MAX) if isinstance(value, str) else value


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode("ascii")


def _path(reference: RunReference) -> str:
    name = reference.outcome_id or reference.trace_id or f"run_id:{reference.run_id}"
    return f"/v1/runs/{quote(name, safe=':')}"


def _answer(place: GatewayPlace, request: GatewayRequest, reply: HttpReply) -> Report:
    fields = _fields(reply)
    if reply.status in _SUCCESSES and fields is not None:
        try:
            return _report(fields, request)
        except (KeyError, ValueError, TypeError):
            pass
    raise _refusal(place, reply, fields or {})


def _report(fields: Mapping[str, Any], request: GatewayRequest) -> Report:
    outcome_id, revision = fields["outcome_id"], fields["revision"]
    if not isinstance(outcome_id, str | None) or not isinstance(revision, int | None):
        raise TypeError
    state, problems = ReportState(fields["state"]), (*_problems(fields["problems"]), *request.repaired)
    return Report(state, outcome_id, revision, problems, bool(fields["repeated"]) and not request.has_own_key)


def _problems(listed: list[str]) -> list[Problem]:
    pairs = [text.partition(":") for text in listed]
    # A newer gateway may list kinds that are not known here.
    known = {kind.value for kind in ProblemKind}
    return [Problem(ProblemKind(kind), attribute) for kind, _, attribute in pairs if kind in known]


def _refusal(place: GatewayPlace, reply: HttpReply, fields: Mapping[str, Any]) -> ReportRefused:
    from agent_outcomes.otlp.answers import asked_wait_s  # noqa: PLC0415 - as above

    status, code = reply.status, fields.get("code")
    wait_s = asked_wait_s(reply.headers.get("retry-after", ""), time.time())
    words = _words(place, fields)
    if code in set(RefusalCode):
        named = fields.get("fields")
        about = tuple(str(name) for name in named) if isinstance(named, list) else ()
        passes = code not in RETRYABLE or fields.get("retryable") is not False
        return ReportRefused(RefusalCode(code), words, about, wait_s, passes)
    if status == 401:  # noqa: PLR2004
        return ReportRefused(RefusalCode.NOT_ALLOWED, words or "the gateway does not know this key", ("key",))
    if status in _RETRIED:
        return unavailable(f"gateway {place.host}:{place.port} answered {status}; report again later", wait_s)
    said = f"{place.host}:{place.port} answered {status}, which is no answer of a gateway to a report; {_TAKES}"
    return ReportRefused(RefusalCode.INVALID_REPORT, f"{said} {words}".rstrip(), ("gateway",))


def _words(place: GatewayPlace, fields: Mapping[str, Any]) -> str:
    detail = fields.get("detail")
    text = printable(detail, _WORDS_MAX) if isinstance(detail, str) else ""
    return text if place.key is None else text.replace(place.key, "***")


def _fields(reply: HttpReply) -> Mapping[str, Any] | None:
    """The fields of a JSON object, `None` of anything else; what is larger than any answer is cut, and so is none."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/json", "application/problem+json"}:
        return None
    try:
        fields = json.loads(reply.content)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None

# SPDX-License-Identifier: Apache-2.0
"""Which layer an answer speaks of, and what to change. Pure, but for files that a certificate's message names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from agent_outcomes.doctor.findings import Layer, export_line, failed
from agent_outcomes.doctor.reach import Language
from agent_outcomes.otel_variables import GRPC, HTTP, OTLP_PREFIX, OtlpSignal
from agent_outcomes.otlp.endpoints import NO_URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.doctor.sending import ProbeAnswer
    from agent_outcomes.otlp.endpoints import Target

CLOCK_OFF_MAX_S: Final = 60.0

_SIGNAL_PATH: Final = re.compile(r"/v1/(?:traces|metrics|logs)/?$")
_DOUBLED_PATH: Final = re.compile(r"(?:/v1/(?:traces|metrics|logs)){2}/?$")
_GRPC_OVER_HTTP: Final = re.compile(r"http2 header with status: ?([0-9]+)|invalid content-type", re.IGNORECASE)
# Go's servers, and nginx.
_HTTP_TO_HTTPS: Final = re.compile(r"HTTP request (?:was sent )?to (?:an )?HTTPS (?:server|port)", re.IGNORECASE)
_TIME_WORDS: Final = re.compile(r"too (?:old|far|new)|out of (?:order|bounds)|future|in the past", re.IGNORECASE)
_AUTH: Final = {401, 403, 407, "UNAUTHENTICATED", "PERMISSION_DENIED"}
_NOT_FOUND: Final = {404, 405, "UNIMPLEMENTED"}
_REDIRECTS: Final = range(300, 400)
# What was cut short ends with three dots.
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9._~:/\[\]%-]+(?<!\.\.\.)")
_EITHER_PORT: Final = "Collectors take gRPC on port 4317 and HTTP on port 4318."

# What a refusal asks for, by HTTP status or gRPC code.
_REMEDIES: Final[Mapping[int | str, str]] = {
    400: "The receiver does not understand the request; its words above say what it misses.",
    413: "The receiver takes only smaller requests: raise its limit on the size of a body.",
    415: "The receiver takes another encoding than protobuf: give the address of an OTLP receiver that takes protobuf.",
    429: "The receiver takes no more for now: raise its rate limit, or that of your account.",
    "RESOURCE_EXHAUSTED": "The receiver takes no more for now: raise its memory or rate limit.",
    502: "A proxy answers, the receiver behind it does not: start it, or correct its address in the proxy.",
    503: "The receiver, or the proxy before it, is not ready: read its log.",
    504: "A proxy answers, the receiver behind it does not: start it, or correct its address in the proxy.",
    "UNAVAILABLE": "The receiver is not ready: read its log.",
}


def unanswered(target: Target, answer: ProbeAnswer, language: Language) -> LayerFinding:
    """A probe that got no answer in the language it was sent in."""
    place = f"{target.host}:{target.port}" if target.host else target.shown_url
    if language is Language.TLS and not target.is_secure:
        return plain_against_tls(target)
    if language is Language.HTTP1 and target.protocol == GRPC:
        return _wrong_protocol(target, f"{place} speaks HTTP, but gRPC is sent", HTTP)
    if language is Language.HTTP2 and target.protocol == HTTP and not target.is_secure:
        return _wrong_protocol(target, f"{place} speaks gRPC, but HTTP is sent", GRPC)
    if target.is_secure and re.search(r"certificate.?required|handshake.?failure|ssl", answer.text, re.IGNORECASE):
        return failed(
            Layer.TLS,
            f"{place} broke off the TLS connection: {answer.text}",
            why="The receiver may ask for a client certificate.",
            fix="Name yours:\n"
            + export_line(f"{OTLP_PREFIX}CLIENT_CERTIFICATE", "/path/to/client.pem")
            + "\n"
            + export_line(f"{OTLP_PREFIX}CLIENT_KEY", "/path/to/client.key"),
            variable=f"{OTLP_PREFIX}CLIENT_CERTIFICATE",
        )
    return failed(
        Layer.ANSWER,
        f"{place} took the connection but gave no answer: {answer.text}",
        why="Whatever listens there is no OTLP receiver, or it hangs.",
        fix=f"Read its log, or give the address of an OTLP receiver in {target.endpoint_variable}. {_EITHER_PORT}",
        variable=target.endpoint_variable,
    )


def plain_against_tls(target: Target) -> LayerFinding:
    """A port that speaks TLS, addressed in plain text."""
    value = f"https://{target.shown_endpoint.partition('://')[2] or target.shown_endpoint}"
    return failed(
        Layer.TLS,
        f"{target.host}:{target.port} speaks TLS, but plain text is sent ({target.said_endpoint})",
        why="The receiver breaks off before it reads anything.",
        fix=f"Write https:// in the endpoint:\n{export_line(target.endpoint_variable, value)}",
        variable=target.endpoint_variable,
        value=value,
    )


def refused(target: Target, answer: ProbeAnswer, accepted: set[OtlpSignal], asked: set[OtlpSignal]) -> LayerFinding:
    """An answer that is no success; `accepted` are the signals among those `asked` that the same receiver takes."""
    status: int | str = answer.http_status or answer.grpc_code or 0
    if isinstance(status, int) and status in _REDIRECTS:
        return _redirected(target, answer)
    if status in _AUTH:
        return _unauthorized(target, answer)
    if _HTTP_TO_HTTPS.search(answer.text) and not target.is_secure:
        return plain_against_tls(target)
    if answer.grpc_code and _GRPC_OVER_HTTP.search(answer.text):
        return _wrong_protocol(target, f"{target.shown_url} speaks HTTP, but gRPC is sent ({answer.text})", HTTP)
    if status in _NOT_FOUND or not answer.is_otlp:
        is_pipeline = answer.is_otlp and _is_pipeline_missing(target, accepted, asked)
        return _no_pipeline(target, answer) if is_pipeline else _no_otlp_there(target, answer)
    return _not_accepted(target, answer)


def _is_pipeline_missing(target: Target, accepted: set[OtlpSignal], asked: set[OtlpSignal]) -> bool:
    """A receiver that takes another signal, under a usual path, is an OTLP receiver."""
    if target.protocol == GRPC:
        return bool(accepted) or len(asked) == 1
    return bool(accepted) and bool(_SIGNAL_PATH.search(target.url)) and not _DOUBLED_PATH.search(target.url)


def clock_verdict(target: Target, answer: ProbeAnswer) -> LayerFinding | None:
    """A clock that is off by more than a minute; `None` where it is not, or where the answer has no date."""
    offset_s = answer.clock_offset_s
    if offset_s is None or abs(offset_s) <= CLOCK_OFF_MAX_S:
        return None
    direction = "behind" if offset_s > 0 else "ahead of"
    return failed(
        Layer.CLOCK,
        f"this machine's clock is {abs(offset_s):.0f} s {direction} that of {target.host or target.shown_url}",
        why="Outcomes are stored under a wrong time: outside the range you look at, or refused as too old or too new.",
        fix="Set the clock of the machine that is wrong, and keep it set:\n  sudo timedatectl set-ntp true",
        variable="timedatectl set-ntp true",
    )


def rejected_verdict(target: Target, answer: ProbeAnswer) -> LayerFinding | None:
    """An accepted request of which something was thrown away; `None` where nothing was."""
    if answer.rejected <= 0:
        return None
    words = answer.text or "it does not say why"
    hint = " These words are about time: check the clock of this machine." if _TIME_WORDS.search(words) else ""
    return failed(
        Layer.REJECTED,
        f"the receiver took the request and threw {answer.rejected} of 1 items away: {words}",
        why="The SDK's exporters take this for a success and log nothing, so the data is missing without a trace.",
        fix=f"Change at the receiver what its words name (a limit, a filter, a required attribute).{hint}\n"
        f"To send {target.signal} elsewhere instead:\n"
        + export_line(f"{OTLP_PREFIX}{target.signal.upper()}_ENDPOINT", _other_endpoint(target)),
        variable=f"{OTLP_PREFIX}{target.signal.upper()}_ENDPOINT",
    )


def _wrong_protocol(target: Target, seen: str, spoken: str) -> LayerFinding:
    own = f"{OTLP_PREFIX}{target.signal.upper()}_PROTOCOL"
    variable = target.protocol_variable or f"{OTLP_PREFIX}PROTOCOL"
    if variable not in {own, f"{OTLP_PREFIX}PROTOCOL"}:
        # OTEL_TRACES_EXPORTER=otlp_proto_grpc and its like.
        return failed(
            Layer.PROTOCOL,
            seen,
            why="The receiver cannot read what is sent.",
            fix=f"Write:\n{export_line(variable, 'otlp_proto_grpc' if spoken == GRPC else 'otlp_proto_http')}",
            variable=variable,
            value="otlp_proto_grpc" if spoken == GRPC else "otlp_proto_http",
        )
    said = f"{variable}={target.protocol}" if target.protocol_variable else f"{variable} is not set: gRPC"
    return failed(
        Layer.PROTOCOL,
        f"{seen} ({said})",
        why="The receiver cannot read what is sent.",
        fix=f"Set the protocol to the port's:\n{export_line(variable, spoken)}\n"
        f"If your code makes its exporters itself, change the port in {target.endpoint_variable}. {_EITHER_PORT}",
        variable=variable,
        value=spoken,
    )


def _redirected(target: Target, answer: ProbeAnswer) -> LayerFinding:
    location = _resolved(target.shown_url, answer.location)
    variable = target.endpoint_variable
    value: str | None = None
    if not location:
        fix = f"Give the final address:\n{export_line(variable, 'https://THE-FINAL-ADDRESS')}"
    elif _may_be_offered(target, location):
        value = _SIGNAL_PATH.sub("", location) if target.is_common_endpoint else location
        fix = f"Give the final address:\n{export_line(variable, value)}"
    else:
        # A line to paste would send data and credentials to wherever the answer, or who forged it, says.
        fix = f"Ask whoever runs {target.host} for its final address, and write it in {variable}."
    return failed(
        Layer.REDIRECT,
        f"{target.shown_url} answers {answer.http_status} and sends on to {location or 'nowhere'}",
        why="Followed, it becomes a GET without the data (301 to 303), and credentials stay behind at another host.",
        fix=fix,
        variable=variable,
        value=value,
    )


def _resolved(url: str, location: str) -> str:
    if location in {"", NO_URL}:
        return location
    try:
        return urljoin(url, location)
    except ValueError:
        return NO_URL


def _may_be_offered(target: Target, location: str) -> bool:
    """Whether an address is plain, whole, on the receiver's own host and no less secure."""
    if _ADDRESS.fullmatch(location) is None:
        return False
    try:
        parts = urlsplit(location)
        is_own = parts.hostname == target.host and parts.port != 0
    except ValueError:
        return False
    return is_own and (parts.scheme == "https" or not target.is_secure)


def _unauthorized(target: Target, answer: ProbeAnswer) -> LayerFinding:
    status = answer.http_status or answer.grpc_code
    sent = ", ".join(sorted(target.headers)) or "none"
    is_basic = answer.challenge.lower() == "basic" or "basic" in answer.text.lower()
    credentials = "Basic BASE64-OF-USER:PASSWORD" if is_basic else "Bearer YOUR-TOKEN"
    words = f": {answer.text}" if answer.text else ""
    return failed(
        Layer.AUTH,
        f"{target.shown_url} answers {status}{words} (headers sent: {sent})",
        why="The receiver wants credentials that it knows, and throws away what comes without them.",
        fix="Send them; your backend's documentation names the header:\n"
        + export_line(target.headers_variable, f"authorization={credentials}"),
        variable=target.headers_variable,
    )


def _no_otlp_there(target: Target, answer: ProbeAnswer) -> LayerFinding:
    words = f": {answer.text}" if answer.is_otlp and answer.text else ""
    what = words if answer.is_otlp else ", but with something else than OTLP"
    seen = f"{target.shown_url} answers {answer.http_status or answer.grpc_code}{what}"
    if target.protocol == GRPC:
        return failed(
            Layer.PATH,
            seen,
            why="Whatever answers there speaks gRPC, but takes none of the signals: it is no OTLP receiver.",
            fix=f"Give the address of one in {target.endpoint_variable}. {_EITHER_PORT}",
            variable=target.endpoint_variable,
        )
    value = _right_endpoint(target)
    if value is None:
        reason = (
            f"Correct the path. The SDK appends {target.signal.path} to {OTLP_PREFIX}ENDPOINT; for a collector that is"
        )
    elif target.is_common_endpoint:
        reason = f"Leave the signal's path off, as the SDK appends {target.signal.path} itself:"
    else:
        reason = "Give the whole path, as the SDK appends none to this variable:"
    line = value or f"{urlsplit(target.shown_endpoint).scheme}://{target.host}:{target.port}"
    return failed(
        Layer.PATH,
        f"{seen} ({target.said_endpoint})",
        why="The URL's path is not one that takes OTLP.",
        fix=f"{reason}\n{export_line(target.endpoint_variable, line)}",
        variable=target.endpoint_variable,
        value=value,
    )


def _right_endpoint(target: Target) -> str | None:
    shown = target.shown_endpoint
    if target.is_common_endpoint:
        shorter = _SIGNAL_PATH.sub("", shown)
        return shorter if shorter != shown else None
    return None if _SIGNAL_PATH.search(shown) else f"{shown.removesuffix('/')}{target.signal.path}"


def _no_pipeline(target: Target, answer: ProbeAnswer) -> LayerFinding:
    signal = target.signal
    status = answer.http_status or answer.grpc_code
    return failed(
        Layer.PIPELINE,
        f"{target.shown_url} answers {status} to {signal}: the receiver has no pipeline for {signal}",
        why=_LOSSES[signal],
        fix="Add it to the collector's configuration, with an exporter that is defined there, and restart it:\n"
        f"  service:\n    pipelines:\n      {signal}:\n        receivers: [otlp]\n        exporters: [YOUR-EXPORTER]\n"
        f"If it is a backend that takes no {signal}, send them to one that does:\n"
        + export_line(f"{OTLP_PREFIX}{signal.upper()}_ENDPOINT", _other_endpoint(target)),
        variable=f"service.pipelines.{signal}",
    )


_LOSSES: Final[Mapping[OtlpSignal, str]] = {
    OtlpSignal.TRACES: "Traces are lost; outcome events then point to traces that are not there.",
    OtlpSignal.METRICS: "Every count, cost and duration of runs is lost.",
    OtlpSignal.LOGS: "Outcome events are log records: every one of them is lost.",
}


def _other_endpoint(target: Target, *, is_common: bool = False) -> str:
    if target.protocol == GRPC:
        return "http://HOST:4317"
    return "http://HOST:4318" if is_common else f"http://HOST:4318{target.signal.path}"


def _not_accepted(target: Target, answer: ProbeAnswer) -> LayerFinding:
    status = answer.http_status or answer.grpc_code or "nothing"
    words = f": {answer.text}" if answer.text else ""
    remedy = _REMEDIES.get(status, "This is a failure of the receiver: its own log says why.")
    other = _other_endpoint(target, is_common=target.is_common_endpoint)
    fix = f"{remedy}\nOr send to another one:\n{export_line(target.endpoint_variable, other)}"
    return failed(
        Layer.ANSWER,
        f"{target.shown_url} answers {status}{words}",
        why="The receiver is reached but does not take the data.",
        fix=fix,
        variable=target.endpoint_variable,
    )

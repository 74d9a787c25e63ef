# SPDX-License-Identifier: Apache-2.0
"""Where each signal is sent and how, read from `OTEL_EXPORTER_OTLP_*` as the SDK's own exporters read it.

But for asking whether a file can be read, it does no I/O.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from opentelemetry.util.re import parse_env_headers

from agent_outcomes.otel_variables import (
    GRPC,
    HTTP,
    OTLP_PREFIX,
    GivenVariable,
    first_given,
    nearest_protocol,
    protocol_of,
)
from agent_outcomes.printable import printable
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_outcomes.otel_variables import OtlpSignal

DEFAULT_TIMEOUT_S: Final = 10.0
NO_COMPRESSION: Final = "none"
COMPRESSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    HTTP: (NO_COMPRESSION, "gzip", "deflate"),
    GRPC: ("gzip",),
}
"""What the SDK's exporters take; gRPC's does not take the default's own name."""
_FILES: Final = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
_SHOWN_MAX: Final = 120
DEFAULT_ENDPOINTS: Final[Mapping[str, str]] = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}
# What gRPC dials where the endpoint names no port.
_GRPC_DEFAULT_PORT: Final = 443
_HTTP_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_SECRET_LENGTH_MIN: Final = 4
_DELIMITERS: Final = re.compile(r"[:/?#@&=;]")
# As the SDK reads one where it is liberal: it logs what does not fit, whole, with the secret in it.
_HEADER: Final = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+[ \t]*=[ !#-+\--:<-\[\]-~]*")
NO_URL: Final = "a text that is no URL"


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how one signal is sent. `host` is empty where the endpoint is none that names a host and a port.

    `url` is what is dialled: with the signal's path for HTTP, a host and a port for gRPC. `timeout_s` is the standard's
    limit for one batch. Header values are in no `repr`.
    """

    signal: OtlpSignal
    protocol: str
    protocol_variable: str
    endpoint: GivenVariable = field(repr=False)
    url: str = field(repr=False)
    host: str
    port: int
    is_secure: bool
    headers: Mapping[str, str] = field(repr=False)
    headers_variable: str
    compression: str
    ca_file: GivenVariable
    client_certificate_file: str
    client_key_file: str
    timeout_s: float = DEFAULT_TIMEOUT_S

    @property
    def endpoint_variable(self) -> str:
        """The variable to change for another endpoint."""
        return self.endpoint.variable or f"{OTLP_PREFIX}ENDPOINT"

    @property
    def is_common_endpoint(self) -> bool:
        """Whether the endpoint is the one of all signals, to which HTTP appends the signal's path."""
        return self.endpoint_variable == f"{OTLP_PREFIX}ENDPOINT"

    @property
    def shown_endpoint(self) -> str:
        """The endpoint as given, without what may be secret in it."""
        return shown_url(self.endpoint.value)

    @property
    def said_endpoint(self) -> str:
        """The endpoint and where it comes from, for a sentence."""
        if self.endpoint.variable:
            return f"{self.endpoint.variable}={self.shown_endpoint}"
        return f"{self.shown_endpoint}, the default, as {OTLP_PREFIX}ENDPOINT is not set"

    @property
    def shown_url(self) -> str:
        """What is dialled, without what may be secret in it."""
        return shown_url(self.url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: header values, and what the endpoint has of users, passwords and queries."""
        values = [word for value in self.headers.values() for word in (value, *value.split())]
        return _longest_first([*values, *secrets_in(self.endpoint.value)])


def read_target(signal: OtlpSignal, environ: Mapping[str, str], protocol: GivenVariable) -> Target:
    """The target of a signal. Raises `ValueError` where the endpoint is no URL."""
    endpoint = first_given(environ, "ENDPOINT", signal, DEFAULT_ENDPOINTS[protocol.value])
    parts = urlsplit(endpoint.value)
    headers = first_given(environ, "HEADERS", signal)
    is_http = protocol.value == HTTP
    is_common = not endpoint.variable or endpoint.variable == f"{OTLP_PREFIX}ENDPOINT"
    url = f"{endpoint.value.removesuffix('/')}{signal.path}" if is_http and is_common else endpoint.value
    # Without `//` the text before the port is taken for a scheme.
    authority = parts if parts.netloc else urlsplit(f"//{endpoint.value}")
    is_host = bool(parts.netloc) or (not is_http and endpoint.value.rpartition("@")[2].count(":") <= 1)
    return Target(
        signal=signal,
        protocol=protocol.value,
        protocol_variable=protocol.variable,
        endpoint=endpoint,
        url=url if is_http else parts.netloc or endpoint.value,
        host=(authority.hostname or "") if is_host else "",
        port=authority.port or (_HTTP_DEFAULT_PORTS.get(parts.scheme, 0) if is_http else _GRPC_DEFAULT_PORT)
        if is_host
        else 0,
        is_secure=parts.scheme == "https" if is_http else not _is_insecure_grpc(signal, environ, parts.scheme),
        headers=_headers(headers.value),
        headers_variable=headers.variable or f"{OTLP_PREFIX}HEADERS",
        compression=first_given(environ, "COMPRESSION", signal, "none").value.lower(),
        ca_file=first_given(environ, "CERTIFICATE", signal),
        client_certificate_file=first_given(environ, "CLIENT_CERTIFICATE", signal).value,
        client_key_file=first_given(environ, "CLIENT_KEY", signal).value,
        timeout_s=_seconds(first_given(environ, "TIMEOUT", signal).value) or DEFAULT_TIMEOUT_S,
    )


def usable_target(signal: OtlpSignal, environ: Mapping[str, str]) -> Target:
    """The target of a signal. Raises `SettingsError`, which names variable and fix, where nothing could be sent."""
    protocol = protocol_of(environ, signal)
    for given, reason, instead in unusable(environ, signal, protocol):
        if given.value.lower() == NO_COMPRESSION:
            continue
        message = f"{given.variable}={printable(given.value, _SHOWN_MAX)} cannot be used: {reason}"
        raise SettingsError(f"{message}; write {given.variable}={instead}" if instead else message)
    return read_target(signal, environ, protocol)


def target_at(url: str, signal: OtlpSignal, environ: Mapping[str, str], protocol: str = HTTP) -> Target:
    """The target of a signal at a receiver's common endpoint, all else from the variables. Raises `SettingsError`."""
    given = {f"{OTLP_PREFIX}{signal.name}_PROTOCOL": protocol, f"{OTLP_PREFIX}ENDPOINT": url}
    own = f"{OTLP_PREFIX}{signal.name}_ENDPOINT"
    return usable_target(signal, {name: value for name, value in environ.items() if name != own} | given)


class Unusable(NamedTuple):
    """A variable that cannot be used, why, and what may be meant: empty where it should go, `None` where unknown."""

    given: GivenVariable
    reason: str
    instead: str | None


def unusable(environ: Mapping[str, str], signal: OtlpSignal, protocol: GivenVariable) -> Iterator[Unusable]:
    """What of a signal's variables keeps the SDK's exporters from being made. Never raises."""
    if protocol.value not in (GRPC, HTTP):
        reason = f"there is an exporter for {GRPC} and one for {HTTP}"
        yield Unusable(protocol, reason, nearest_protocol(protocol.value))
        return
    yield from _unusable_endpoint(first_given(environ, "ENDPOINT", signal), protocol.value)
    timeout = first_given(environ, "TIMEOUT", signal)
    if timeout.value and _seconds(timeout.value) is None:
        yield Unusable(timeout, "it takes a number of seconds, more than 0", "10")
    compression = first_given(environ, "COMPRESSION", signal)
    known = COMPRESSIONS[protocol.value]
    if compression.value and compression.value.lower() not in known:
        instead = "gzip" if "gz" in compression.value.lower() else ""
        yield Unusable(compression, f"{protocol.value} takes {' or '.join(known)}; unset means none", instead)
    for name in _FILES:
        file = first_given(environ, name, signal)
        if file.value and not os.access(file.value, os.R_OK):
            yield Unusable(file, "there is no such file, or it cannot be read", None)


def _unusable_endpoint(endpoint: GivenVariable, protocol: str) -> Iterator[Unusable]:
    if not endpoint.value:
        return
    try:
        parts = urlsplit(endpoint.value)
        is_url = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        yield Unusable(GivenVariable("...", endpoint.variable), "it is no URL such as http://localhost:4317", None)
        return
    if protocol == HTTP and not (is_url and parts.scheme in {"http", "https"}):
        given = GivenVariable(shown_url(endpoint.value), endpoint.variable)
        instead = None if "://" in endpoint.value or given.value == NO_URL else f"http://{given.value}"
        yield Unusable(given, "a URL for HTTP begins with http:// or https://", instead)


def _headers(text: str) -> Mapping[str, str]:
    entries = [entry.strip(" \t") for entry in text.split(",")]
    return parse_env_headers(",".join(entry for entry in entries if _HEADER.fullmatch(entry)), liberal=True)


def _seconds(text: str) -> float | None:
    """A number of seconds above 0, `None` at anything else."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def user_and_password(url: str) -> tuple[str, str] | None:
    """The user information of a URL, `None` where it has none."""
    parts = urlsplit(url)
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username is not None else None


def without_user(url: str) -> str:
    """The URL without its user information."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def shown_url(url: str) -> str:
    """An endpoint in any form, with and without a scheme, without user information and query, which may be secret.

    Where it cannot be told what is user information, as a password holds a delimiter that is not escaped, nothing of it
    is shown: after the first `/`, `?` or `#` an `@` may be a path's, or the end of a password.
    """
    scheme, rest = _scheme_and_rest(url)
    try:
        parts = urlsplit(f"//{rest}")
    except ValueError:
        return NO_URL
    authority = parts.netloc.rpartition("@")[2]
    if re.search("@|%40", "".join((authority, *parts[2:]))):
        return NO_URL
    return f"{scheme}{authority}{parts.path}"


def secrets_in(url: str) -> tuple[str, ...]:
    """What may be secret in an endpoint of any form, in whole and in parts, as given and as others may repeat it."""
    rest = _scheme_and_rest(url)[1]
    user_info = rest.rpartition("@")[0]
    query = "".join(re.split("([?#])", rest, maxsplit=1)[2:])
    values = [one.partition("=")[2] or one for one in re.split("[&;#]", query)]
    found = [user_info, query, *values]
    found += [piece for one in (user_info, *values) for piece in _DELIMITERS.split(one)]
    found += [form for one in found for form in (unquote(one), quote(one, safe=""))]
    found += [base64.b64encode(one.encode()).decode() for one in (user_info, unquote(user_info)) if one]
    # A host is repeated in small letters, and what is taken for one.
    return _longest_first([*found, *(one.lower() for one in found)])


def _longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if len(text) >= _SECRET_LENGTH_MIN}, key=len, reverse=True))


def _scheme_and_rest(url: str) -> tuple[str, str]:
    """The scheme with what ends it, empty where there is none, and what follows."""
    scheme, mark, rest = url.partition("://")
    is_scheme = bool(mark) and _DELIMITERS.search(scheme) is None
    return (f"{scheme}{mark}", rest) if is_scheme else ("", url)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it blotted out."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _is_insecure_grpc(signal: OtlpSignal, environ: Mapping[str, str], scheme: str) -> bool:
    if scheme == "https":
        return False
    insecure = first_given(environ, "INSECURE", signal).value
    return insecure.lower() == "true" if insecure else scheme == "http"

# SPDX-License-Identifier: Apache-2.0
"""Where each signal is sent and how, read from `OTEL_EXPORTER_OTLP_*` as the SDK's own exporters read it. Pure.

A variable of one signal stands before the common one; an empty one counts as not set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.util.re import parse_env_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX: Final = "OTEL_EXPORTER_OTLP_"
GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"
DEFAULT_ENDPOINTS: Final[Mapping[str, str]] = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}
# What gRPC dials where the endpoint names no port.
_GRPC_DEFAULT_PORT: Final = 443
_HTTP_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_SECRET_LENGTH_MIN: Final = 4


class Signal(StrEnum):
    """The three signals, as their variables and paths call them."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def path(self) -> str:
        """The path that OTLP over HTTP appends to the common endpoint."""
        return f"/v1/{self.value}"


@dataclass(frozen=True, slots=True)
class Given:
    """A setting's value and the variable that gave it; no variable where it is the default."""

    value: str
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how one signal is sent. `host` is empty where the endpoint is none that names a host and a port."""

    signal: Signal
    protocol: str
    protocol_variable: str
    endpoint: Given
    url: str
    host: str
    port: int
    is_secure: bool
    headers: Mapping[str, str] = field(repr=False)
    headers_variable: str
    compression: str
    ca_file: Given
    client_certificate_file: str
    client_key_file: str

    @property
    def endpoint_variable(self) -> str:
        """The variable to change for another endpoint."""
        return self.endpoint.variable or f"{PREFIX}ENDPOINT"

    @property
    def is_common_endpoint(self) -> bool:
        """Whether the endpoint is the one of all signals, to which HTTP appends the signal's path."""
        return self.endpoint_variable == f"{PREFIX}ENDPOINT"

    @property
    def shown_endpoint(self) -> str:
        """The endpoint as given, without what may be secret in it."""
        return shown_url(self.endpoint.value)

    @property
    def said_endpoint(self) -> str:
        """The endpoint and where it comes from, for a sentence."""
        if self.endpoint.variable:
            return f"{self.endpoint.variable}={self.shown_endpoint}"
        return f"{self.shown_endpoint}, the default, as {PREFIX}ENDPOINT is not set"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: header values, and the user information of the URL."""
        values = [word for value in self.headers.values() for word in (value, *value.split())]
        user_info, at, _ = urlsplit(self.endpoint.value).netloc.rpartition("@")
        if at:
            values += [user_info, *user_info.split(":")]
        return tuple(sorted({value for value in values if len(value) >= _SECRET_LENGTH_MIN}, key=len, reverse=True))


def read_target(signal: Signal, environ: Mapping[str, str], protocol: Given) -> Target:
    """The target of a signal. Raises `ValueError` where the endpoint is no URL."""
    endpoint = first_given(environ, "ENDPOINT", signal, DEFAULT_ENDPOINTS[protocol.value])
    parts = urlsplit(endpoint.value)
    headers = first_given(environ, "HEADERS", signal)
    is_http = protocol.value == HTTP
    is_common = not endpoint.variable or endpoint.variable == f"{PREFIX}ENDPOINT"
    url = f"{endpoint.value.removesuffix('/')}{signal.path}" if is_http and is_common else endpoint.value
    # Without `//` the text before the port is taken for a scheme.
    authority = parts if parts.netloc else urlsplit(f"//{endpoint.value}")
    is_host = bool(parts.netloc) or (not is_http and endpoint.value.count(":") <= 1)
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
        headers=parse_env_headers(headers.value, liberal=True),
        headers_variable=headers.variable or f"{PREFIX}HEADERS",
        compression=first_given(environ, "COMPRESSION", signal, "none").value.lower(),
        ca_file=first_given(environ, "CERTIFICATE", signal),
        client_certificate_file=first_given(environ, "CLIENT_CERTIFICATE", signal).value,
        client_key_file=first_given(environ, "CLIENT_KEY", signal).value,
    )


def first_given(environ: Mapping[str, str], name: str, signal: Signal, default: str = "") -> Given:
    """The value of a signal's own variable, else of the common one, else the default."""
    for variable in (f"{PREFIX}{signal.upper()}_{name}", f"{PREFIX}{name}"):
        value = environ.get(variable, "").strip()
        if value:
            return Given(value, variable)
    return Given(default)


def shown_url(url: str) -> str:
    """The URL without user information and query, either of which may hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a text that is no URL"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it blotted out."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _is_insecure_grpc(signal: Signal, environ: Mapping[str, str], scheme: str) -> bool:
    if scheme == "https":
        return False
    insecure = first_given(environ, "INSECURE", signal).value
    return insecure.lower() == "true" if insecure else scheme == "http"

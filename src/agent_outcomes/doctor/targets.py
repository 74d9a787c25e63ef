# SPDX-License-Identifier: Apache-2.0
"""Where each signal is sent and how, read from `OTEL_EXPORTER_OTLP_*` as the SDK's own exporters read it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.util.re import parse_env_headers

from agent_outcomes.otel_variables import GRPC, HTTP, OTLP_PREFIX, GivenVariable, first_given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_outcomes.otel_variables import OtlpSignal

DEFAULT_ENDPOINTS: Final[Mapping[str, str]] = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}
# What gRPC dials where the endpoint names no port.
_GRPC_DEFAULT_PORT: Final = 443
_HTTP_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_SECRET_LENGTH_MIN: Final = 4
NO_URL: Final = "a text that is no URL"


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how one signal is sent. `host` is empty where the endpoint is none that names a host and a port."""

    signal: OtlpSignal
    protocol: str
    protocol_variable: str
    endpoint: GivenVariable
    url: str
    host: str
    port: int
    is_secure: bool
    headers: Mapping[str, str] = field(repr=False)
    headers_variable: str
    compression: str
    ca_file: GivenVariable
    client_certificate_file: str
    client_key_file: str

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
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: header values, and the user information of the URL."""
        values = [word for value in self.headers.values() for word in (value, *value.split())]
        user_info, at, _ = urlsplit(self.endpoint.value).netloc.rpartition("@")
        if at:
            values += [user_info, *user_info.split(":")]
        return tuple(sorted({value for value in values if len(value) >= _SECRET_LENGTH_MIN}, key=len, reverse=True))


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
        headers_variable=headers.variable or f"{OTLP_PREFIX}HEADERS",
        compression=first_given(environ, "COMPRESSION", signal, "none").value.lower(),
        ca_file=first_given(environ, "CERTIFICATE", signal),
        client_certificate_file=first_given(environ, "CLIENT_CERTIFICATE", signal).value,
        client_key_file=first_given(environ, "CLIENT_KEY", signal).value,
    )


def shown_url(url: str) -> str:
    """The URL without user information and query, either of which may hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return NO_URL
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


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

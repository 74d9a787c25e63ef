# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's own variables that several modules read, as the SDK reads them. Pure.

Of `OTEL_EXPORTER_OTLP_*` a variable of one signal stands before the common one; an empty one counts as not set.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OTLP_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
DISABLED_VARIABLE: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"


class OtlpSignal(StrEnum):
    """The three signals, as their variables and paths call them."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def path(self) -> str:
        """The path that OTLP over HTTP appends to the common endpoint."""
        return f"/v1/{self.value}"

    @property
    def exporter_variable(self) -> str:
        """The variable that names the signal's exporters."""
        return f"OTEL_{self.name}_EXPORTER"


@dataclass(frozen=True, slots=True)
class GivenVariable:
    """A setting's value and the variable that gave it; no variable where it is the default."""

    value: str
    variable: str = ""


def first_given(environ: Mapping[str, str], name: str, signal: OtlpSignal, default: str = "") -> GivenVariable:
    """The value of a signal's own variable, else of the common one, else the default."""
    for variable in (f"{OTLP_PREFIX}{signal.name}_{name}", f"{OTLP_PREFIX}{name}"):
        value = environ.get(variable, "").strip()
        if value:
            return GivenVariable(value, variable)
    return GivenVariable(default)


def protocol_of(environ: Mapping[str, str], signal: OtlpSignal) -> GivenVariable:
    """The OTLP protocol of a signal; it may be one that there is no exporter for (see `nearest_protocol`)."""
    # What the SDK's own `otlp` exporters default to, so that all three signals go the same way.
    return first_given(environ, "PROTOCOL", signal, GRPC)


def nearest_protocol(protocol: str) -> str:
    """The protocol itself where there is an exporter for it, else the one that is most like it."""
    if protocol in (GRPC, HTTP):
        return protocol
    return HTTP if protocol.lower().startswith("http") else GRPC


def is_switched_off(environ: Mapping[str, str], signal: OtlpSignal) -> bool:
    """Whether the signal's exporter is `none`."""
    return environ.get(signal.exporter_variable, "").strip().lower() == "none"

# SPDX-License-Identifier: Apache-2.0
"""The layer `settings`: variables whose values cannot be used, each with what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.util.re import parse_env_headers

from agent_outcomes.doctor.findings import Layer, export_line, failed, unset_line
from agent_outcomes.otel_variables import GRPC, HTTP, GivenVariable, OtlpSignal, first_given, protocol_of
from agent_outcomes.otlp.endpoints import read_target, unusable
from agent_outcomes.settings import lenient_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.otlp.endpoints import Target

_EXPORTER_PROTOCOLS: Final[Mapping[str, str]] = {"otlp_proto_grpc": GRPC, "otlp_proto_http": HTTP}


@dataclass(frozen=True, slots=True)
class Targets:
    """What the environment says: where each signal goes, which signals do not go by OTLP and why, what is wrong."""

    targets: tuple[Target, ...]
    switched_off: Mapping[OtlpSignal, str]
    findings: tuple[LayerFinding, ...]


def read_targets(environ: Mapping[str, str]) -> Targets:
    """Read the environment as the SDK does. Never raises."""
    targets: list[Target] = []
    switched_off: dict[OtlpSignal, str] = {}
    findings = [*_package_settings(environ), *_sdk_switch(environ)]
    for signal in OtlpSignal:
        variable = signal.exporter_variable
        exporters = [name.strip() for name in environ.get(variable, "").split(",") if name.strip()] or ["otlp"]
        otlp = [name for name in exporters if name == "otlp" or name in _EXPORTER_PROTOCOLS]
        if not otlp:
            switched_off[signal] = f"{variable}={','.join(exporters)[:80]}"
            continue
        protocol = (
            GivenVariable(_EXPORTER_PROTOCOLS[otlp[0]], variable) if otlp[0] != "otlp" else protocol_of(environ, signal)
        )
        problems = list(_problems(environ, signal, protocol))
        findings += [problem for problem in problems if problem not in findings]
        if not problems:
            targets.append(read_target(signal, environ, protocol))
    return Targets(tuple(targets), switched_off, tuple(findings))


def _package_settings(environ: Mapping[str, str]) -> list[LayerFinding]:
    complaints: list[str] = []
    lenient_settings({}, complaints.append, environ)
    return [_complaint(complaint, environ) for complaint in complaints]


def _complaint(complaint: str, environ: Mapping[str, str]) -> LayerFinding:
    """A variable of ours that cannot be used, or that does not exist; a misspelt one has a name to copy."""
    variable, _, rest = complaint.replace("=", " ", 1).partition(" ")
    nearest = re.search(r"did you mean (\w+)", rest)
    again = export_line(nearest[1], environ.get(variable, "")) if nearest else ""
    return failed(
        Layer.SETTINGS,
        complaint,
        why="install() and AgentOutcomeSpanProcessor() refuse a bad value; opentelemetry-instrument and unknown names "
        "just go without it.",
        fix=f"Write it as said above, or remove it:\n{unset_line(variable)}\n{again}".rstrip(),
        variable=variable,
        value="",
    )


def _sdk_switch(environ: Mapping[str, str]) -> Iterator[LayerFinding]:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield failed(
            Layer.SETTINGS,
            "OTEL_SDK_DISABLED=true",
            why="It switches OpenTelemetry off: no span is recorded, so no run is seen and nothing is sent.",
            fix=f"Remove it:\n{unset_line('OTEL_SDK_DISABLED')}",
            variable="OTEL_SDK_DISABLED",
            value="",
        )


def _problems(environ: Mapping[str, str], signal: OtlpSignal, protocol: GivenVariable) -> Iterator[LayerFinding]:
    for given, reason, instead in unusable(environ, signal, protocol):
        yield _unusable(given, reason, instead)
    yield from _header_problems(first_given(environ, "HEADERS", signal))


def _header_problems(headers: GivenVariable) -> Iterator[LayerFinding]:
    """The SDK leaves out what it cannot read, and says so only in the application's log."""
    parts = [part.strip() for part in headers.value.split(",") if part.strip()]
    unread = [number for number, part in enumerate(parts, 1) if not parse_env_headers(part, liberal=True)]
    if not unread:
        return
    which = ", ".join(map(str, unread))
    yield failed(
        Layer.SETTINGS,
        f"{headers.variable}: entry {which} of {len(parts)} is not of the form name=value",
        why="The SDK leaves such an entry out, so the receiver never gets that header.",
        fix="Write name=value with an equals sign, entries separated by commas, for example:\n"
        + export_line(headers.variable, "authorization=Bearer YOUR-TOKEN"),
        variable=headers.variable,
    )


def _unusable(given: GivenVariable, reason: str, value: str | None) -> LayerFinding:
    if value:
        fix = f"Write:\n{export_line(given.variable, value)}"
    elif value is None:
        fix = f"Correct {given.variable}."
    else:
        fix = f"Remove it:\n{unset_line(given.variable)}"
    return failed(
        Layer.SETTINGS,
        f"{given.variable}={given.value[:120]} cannot be used: {reason}",
        why="The exporter cannot be built with this value, so nothing is sent.",
        fix=fix,
        variable=given.variable,
        value=value,
    )

# SPDX-License-Identifier: Apache-2.0
"""Where a ledger is delivered to, and how often its totals are: OpenTelemetry's own variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.otel_variables import OtlpSignal, is_switched_off
from agent_outcomes.otlp.endpoints import usable_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.otlp.endpoints import Target

EXPORT_INTERVAL_S: Final = 10.0
"""A standard reader collects once a minute; here each export is a read of one table."""
EXPORT_INTERVAL_VARIABLE: Final = "OTEL_METRIC_EXPORT_INTERVAL"
_INTERVAL_MIN_S: Final = 0.1
_MS_PER_S: Final = 1_000


class DeliveryTargets(NamedTuple):
    """Where events and totals go, `None` for a signal that is switched off, and the seconds between two exports."""

    logs: Target | None
    metrics: Target | None
    interval_s: float = EXPORT_INTERVAL_S


def read_delivery_targets(environ: Mapping[str, str]) -> DeliveryTargets:
    """What the variables say, as the SDK reads them. Raises `SettingsError`, which names variable and fix."""
    return DeliveryTargets(
        _target(OtlpSignal.LOGS, environ), _target(OtlpSignal.METRICS, environ), _interval_s(environ)
    )


def _target(signal: OtlpSignal, environ: Mapping[str, str]) -> Target | None:
    return None if is_switched_off(environ, signal) else usable_target(signal, environ)


def _interval_s(environ: Mapping[str, str]) -> float:
    try:
        given_s = float(environ.get(EXPORT_INTERVAL_VARIABLE, "")) / _MS_PER_S
    except ValueError:  # as the SDK does with what it cannot read
        return EXPORT_INTERVAL_S
    return max(given_s, _INTERVAL_MIN_S) if given_s > 0 else EXPORT_INTERVAL_S

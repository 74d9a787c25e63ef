# SPDX-License-Identifier: Apache-2.0
"""Where a ledger is delivered to, and how often its totals are: OpenTelemetry's own variables."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.delivery.queue import DeliveryKind
from agent_outcomes.otel_variables import OtlpSignal, is_switched_off
from agent_outcomes.otlp.endpoints import usable_target
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.otlp.endpoints import Target

EXPORT_INTERVAL_S: Final = 10.0
"""A standard reader collects once a minute; here each export is a read of one table."""
EXPORT_INTERVAL_VARIABLE: Final = "OTEL_METRIC_EXPORT_INTERVAL"
_INTERVAL_MIN_S: Final = 0.1
_MS_PER_S: Final = 1_000


class DeliveryTargets(NamedTuple):
    """Where events and totals go, `None` for a signal that is switched off, and the seconds between two exports.

    `traces` is where the spans of later revisions go, if the ledger makes any.
    """

    logs: Target | None
    metrics: Target | None
    interval_s: float = EXPORT_INTERVAL_S
    traces: Target | None = None

    @property
    def kinds(self) -> tuple[DeliveryKind, ...]:
        """What is sent one by one."""
        ways = {DeliveryKind.EVENTS: self.logs, DeliveryKind.SPANS: self.traces}
        return tuple(kind for kind, target in ways.items() if target is not None)


def read_delivery_targets(environ: Mapping[str, str]) -> DeliveryTargets:
    """What the variables say, as the SDK reads them. Raises `SettingsError`, which names variable and fix."""
    return DeliveryTargets(
        _target(OtlpSignal.LOGS, environ),
        _target(OtlpSignal.METRICS, environ),
        _interval_s(environ),
        _span_target(environ),
    )


def _target(signal: OtlpSignal, environ: Mapping[str, str]) -> Target | None:
    return None if is_switched_off(environ, signal) else usable_target(signal, environ)


def _span_target(environ: Mapping[str, str]) -> Target | None:
    # Few ledgers have any: variables of the application's own exporter that we cannot use are no error here.
    with contextlib.suppress(SettingsError):
        return _target(OtlpSignal.TRACES, environ)
    return None


def _interval_s(environ: Mapping[str, str]) -> float:
    try:
        given_s = float(environ.get(EXPORT_INTERVAL_VARIABLE, "")) / _MS_PER_S
    except ValueError:  # as the SDK does with what it cannot read
        return EXPORT_INTERVAL_S
    return max(given_s, _INTERVAL_MIN_S) if given_s > 0 else EXPORT_INTERVAL_S

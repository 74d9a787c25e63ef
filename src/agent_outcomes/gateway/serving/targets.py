# SPDX-License-Identifier: Apache-2.0
"""Where a gateway sends: the OTLP targets behind `--deliver-to` and `--forward-to`. Pure but for the look at files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from agent_outcomes.gateway.serving.addresses import doors, is_loopback_address
from agent_outcomes.gateway.settings import OTLP_GRPC_PORT, Address
from agent_outcomes.ledger.delivery.targets import DeliveryTargets, read_delivery_targets
from agent_outcomes.otel_variables import GRPC, HTTP, OTLP_PREFIX, OtlpSignal, protocol_of
from agent_outcomes.otlp.endpoints import shown_url, target_at
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.otlp.endpoints import Target

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


def delivery_targets(settings: GatewaySettings, environ: Mapping[str, str]) -> DeliveryTargets | None:
    """Where events and totals go, `None` without `--deliver-to`; headers, timeout and certificates as the SDK's.

    Raises `SettingsError` where that cannot be used, or is the gateway itself.
    """
    if settings.deliver_to is None:
        return None
    _refuse_itself("--deliver-to", settings.deliver_to, settings)
    interval_s = read_delivery_targets({**environ, **_OFF}).interval_s
    logs, metrics, traces = (
        _target(signal, settings.deliver_to, environ)
        for signal in (OtlpSignal.LOGS, OtlpSignal.METRICS, OtlpSignal.TRACES)
    )
    return DeliveryTargets(logs, metrics, interval_s, traces)


def forward_targets(settings: GatewaySettings, environ: Mapping[str, str]) -> Mapping[OtlpSignal, Target] | None:
    """Where requests are passed on to, by signal; `None` without `--forward-to`. Raises `SettingsError`, likewise."""
    if settings.forward_to is None:
        return None
    _refuse_itself("--forward-to", settings.forward_to, settings)
    return {signal: _target(signal, settings.forward_to, environ) for signal in OtlpSignal}


_OFF: Final[Mapping[str, str]] = {signal.exporter_variable: "none" for signal in OtlpSignal}


def _target(signal: OtlpSignal, url: str, environ: Mapping[str, str]) -> Target:
    given = protocol_of(environ, signal)
    usual = GRPC if urlsplit(url).port == OTLP_GRPC_PORT else HTTP
    return target_at(url, signal, environ, given.value if given.variable.startswith(OTLP_PREFIX) else usual)


def _refuse_itself(option: str, url: str, settings: GatewaySettings) -> None:
    """A gateway that sends to itself would never be done."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    there = Address(parts.hostname or "", port)
    for door in doors(settings):
        is_same_host = there.host == door.address.host or (
            is_loopback_address(there) and is_loopback_address(door.address)
        )
        if port and port == door.address.port and is_same_host:
            message = f"{option} {shown_url(url)} is where this gateway itself listens ({door.option}); name another"
            raise SettingsError(message)

# SPDX-License-Identifier: Apache-2.0
"""What a gateway is told: listeners, ledger, deliveries, verdicts and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

OTLP_GRPC_PORT: Final = 4317
OTLP_HTTP_PORT: Final = 4318
LISTEN_PORT: Final = 8321
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """Bounds of one OTLP request and of all that are under way, in bytes and seconds.

    A body above `inflated_ratio_free_bytes` may be at most `inflated_ratio_max` times its compressed size.
    """

    body_max_bytes: int = 4 * 2**20
    inflated_max_bytes: int = 16 * 2**20
    inflated_ratio_max: int = 100
    inflated_ratio_free_bytes: int = 2**20
    headers_max_bytes: int = 16 * 2**10
    headers_max: int = 100
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    body_min_bytes_per_s: int = 1024
    idle_timeout_s: float = 30.0
    connections_max: int = 512
    requests_max: int = 64
    in_flight_max_bytes: int = 64 * 2**20
    spans_max: int = 10_000
    nesting_max: int = 32


@dataclass(frozen=True, slots=True)
class AccessLimits:
    """How many requests one key may send a second, over time and after a pause."""

    key_requests_per_s: int = 100
    key_requests_at_once_max: int = 1000


@dataclass(frozen=True, slots=True)
class AssemblyLimits:
    """When spans that are held settle, and how many are held at most."""

    settle_after_s: float = 5.0
    idle_after_s: float = 60.0
    open_max_s: float = 3600.0
    traces_max: int = 100_000
    held_max_bytes: int = 512 * 2**20
    journal_max_bytes: int = 2**30


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """All that one gateway is told; an address that is `None` is not listened on.

    `ledger` is the URL of a database, `deliver_to` and `forward_to` OTLP endpoints. `verdicts` are texts NAME=RULE.
    """

    ledger: str
    state_folder: Path
    otlp_grpc: Address | None = Address(LOOPBACK, OTLP_GRPC_PORT)
    otlp_http: Address | None = Address(LOOPBACK, OTLP_HTTP_PORT)
    listen: Address | None = Address(LOOPBACK, LISTEN_PORT)
    deliver_to: str | None = None
    forward_to: str | None = None
    verdicts: tuple[str, ...] = ()
    trace_url: str | None = None
    hold_s: float = 3600.0
    access: AccessLimits = field(default_factory=AccessLimits)
    receiver: ReceiverLimits = field(default_factory=ReceiverLimits)
    assembly: AssemblyLimits = field(default_factory=AssemblyLimits)

# SPDX-License-Identifier: Apache-2.0
"""What the API and the page work with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.gateway.access.admission import Admission
    from agent_outcomes.gateway.blocking_calls import RunBlocking
    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.ledger.store import Store


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """One gateway as its routes see it.

    `run_blocking` is for every call to the store: none may block the event loop. `now_ns` is the clock.
    """

    store: Store
    settings: GatewaySettings
    run_blocking: RunBlocking
    admission: Admission
    now_ns: Callable[[], int] = time.time_ns

# SPDX-License-Identifier: Apache-2.0
"""How many connections a process can hold: as many as it may open files for, besides those of its ledger and journal.

Where there are no more descriptors left no listener can accept what would take an idle one's place, so that whoever
opens connections and says nothing would end the service for all. The usual soft limit of a shell or a unit is 1,024,
which says nothing of what is meant: it is kept low for programs that use `select`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.gateway.serving.addresses import doors

if TYPE_CHECKING:
    from agent_outcomes.gateway.settings import GatewaySettings

KEPT_FREE: Final = 128
"""Descriptors for ledger, journal, deliveries, the listeners themselves, and connections about to be turned away."""
# Windows has no such limit.
resource: Any = import_module("resource") if find_spec("resource") is not None else None
_log: Final = logging.getLogger(__name__)


def with_room(settings: GatewaySettings) -> GatewaySettings:
    """The settings with as many connections as there is room for, once the process's soft limit has been raised.

    Fewer than were asked for are said in the log, with what to change.
    """
    listeners = len(doors(settings))
    asked = settings.receiver.connections_max
    limit = _raised_to(listeners * asked + KEPT_FREE)
    if limit is None or not listeners:
        return settings
    room = max(1, (limit - KEPT_FREE) // listeners)
    if room >= asked:
        return settings
    _log.warning(
        "this process may open %d files, so that each listener takes %d connections and not %d; raise the limit "
        "(ulimit -n, LimitNOFILE of systemd), or lower --connections-max",
        limit,
        room,
        asked,
    )
    return replace(settings, receiver=replace(settings.receiver, connections_max=room))


def _raised_to(needed: int) -> int | None:
    """The limit of open files after it was raised as far as is needed and allowed; `None` where there is none."""
    if resource is None:
        return None
    limits: tuple[int, int] = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = limits
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if wanted > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # the system has a bound of its own
            return soft
        return wanted
    return soft

# SPDX-License-Identifier: Apache-2.0
"""How often each key may ask, so that one sender does not take the gateway from all others. Pure but for its clock."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.gateway.settings import AccessLimits

NAMES_MAX: Final = 1024


class RequestRates:
    """A token bucket for each name: so many at once, and so many a second from then on.

    Of a bucket only the time is kept at which it is full again (the generic cell rate algorithm, ITU-T I.371). Beyond
    `NAMES_MAX` names the one that has not asked for longest begins anew.
    """

    def __init__(self, limits: AccessLimits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1 / limits.key_requests_per_s
        self._ahead_max_s = (limits.key_requests_at_once_max - 1) * self._interval_s
        self._clock_s = clock_s
        self._full_again_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, name: str) -> float:
        """Take one for this name: 0 if there was one, else in how many seconds there is, and none is taken."""
        now_s = self._clock_s()
        full_again_s = max(self._full_again_s.get(name, now_s), now_s)
        wait_s = full_again_s - now_s - self._ahead_max_s
        if wait_s > 0:
            return wait_s
        self._full_again_s[name] = full_again_s + self._interval_s
        self._full_again_s.move_to_end(name)
        if len(self._full_again_s) > NAMES_MAX:
            self._full_again_s.popitem(last=False)
        return 0.0

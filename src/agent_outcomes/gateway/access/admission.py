# SPDX-License-Identifier: Apache-2.0
"""Who is let in: with a key of the ledger, not too often, or, while that has none, from this machine only."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.access.callers import LOCAL, Caller, caller_with
from agent_outcomes.gateway.access.credentials import (
    SECRET_LENGTH_MAX,
    TwoKeysError,
    is_loopback,
    is_passed_on,
    names_this_machine,
    presented_secret,
)
from agent_outcomes.gateway.access.rates import RequestRates
from agent_outcomes.gateway.settings import AccessLimits
from agent_outcomes.ledger.keys import authenticate, has_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_outcomes.gateway.blocking_calls import RunBlocking
    from agent_outcomes.ledger.store import Store

REMEMBERED_S: Final = 1.0
"""How long an answer of the ledger about a key is relied on: so long a key that was revoked goes on."""
CALLERS_REMEMBERED_MAX: Final = 1024
UNAUTHENTICATED: Final = "UNAUTHENTICATED"
NOT_ALLOWED: Final = "NOT_ALLOWED"
RATE_LIMITED: Final = "RATE_LIMITED"
_TOO_MANY: Final = (
    "this key has sent too many requests; send it again later, larger batches, or raise serve's --key-rate-max"
)
_TAKES_A_KEY: Final = "send a key as Authorization: Bearer KEY or X-API-Key: KEY; agent-outcomes keys create makes one"


class NotAdmitted(Exception):  # noqa: N818 - what happened to the request; nothing is wrong with the program
    """A request that is not let in: 401 without a key that is known, 403 for who may not do this, 429 for too many.

    The message says what helps, and never what was sent. `retry_after_s` is when the same request is let in, if ever.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(status, code, message, retry_after_s)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Admission:
    """Looks keys up in the ledger, each at most once a second. Use it on one event loop."""

    def __init__(
        self,
        store: Store,
        run_blocking: RunBlocking,
        limits: AccessLimits | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._run_blocking = run_blocking
        self._clock_s = clock_s
        self._rates = RequestRates(limits or AccessLimits(), clock_s)
        # By digest: what is remembered must not be a key.
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._has_keys = False
        self._looked_at_s: float | None = None

    async def caller_of(self, headers: Mapping[str, str], peer_host: str | None) -> Caller:
        """Who sends a request with these headers (names in lower case) from that address.

        Raises `NotAdmitted`; what the ledger and `run_blocking` raise is passed on.
        """
        try:
            secret = presented_secret(headers)
        except TwoKeysError:
            message = "the request has two different keys; send one"
            raise NotAdmitted(401, UNAUTHENTICATED, message) from None
        if not await self.has_keys():
            return _local_caller(headers, peer_host)
        if secret is None:
            message = f"a key is missing; {_TAKES_A_KEY}"
            raise NotAdmitted(401, UNAUTHENTICATED, message)
        caller = await self.caller_of_secret(secret)
        if caller is None:
            message = f"the key is unknown, revoked or has expired; {_TAKES_A_KEY}"
            raise NotAdmitted(401, UNAUTHENTICATED, message)
        return caller

    async def sender_of(self, headers: Mapping[str, str], peer_host: str | None) -> Caller:
        """The same, and it counts as a request of that key; raises `NotAdmitted` also where these are too many.

        While there are no keys nobody can be told from anybody, and all may send as much as they like.
        """
        caller = await self.caller_of(headers, peer_host)
        if caller is LOCAL:
            return caller
        wait_s = self._rates.wait_s(caller.name)
        if wait_s > 0:
            raise NotAdmitted(429, RATE_LIMITED, _TOO_MANY, wait_s)
        return caller

    async def caller_of_secret(self, secret: str) -> Caller | None:
        """Who has this key; `None` if it is unknown, revoked or has expired. Raises as `caller_of` does otherwise."""
        if not 0 < len(secret) <= SECRET_LENGTH_MAX:
            return None
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        until_s, remembered = self._remembered.get(digest, (0.0, None))
        now_s = self._clock_s()
        if remembered is not None and now_s < until_s:
            return remembered
        key = await self._run_blocking(partial(authenticate, self._store, secret))
        if key is None:
            self._remembered.pop(digest, None)
            return None
        caller = caller_with(key)
        self._remembered[digest] = (now_s + REMEMBERED_S, caller)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > CALLERS_REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return caller

    async def has_keys(self) -> bool:
        """Whether the ledger has keys, so that each request needs one; for good, once it has been so."""
        now_s = self._clock_s()
        if not self._has_keys and (self._looked_at_s is None or now_s >= self._looked_at_s + REMEMBERED_S):
            self._has_keys = await self._run_blocking(partial(has_keys, self._store))
            self._looked_at_s = now_s
        return self._has_keys


def _local_caller(headers: Mapping[str, str], peer_host: str | None) -> Caller:
    if not is_loopback(peer_host):
        message = "there are no keys, so that only this machine is served; agent-outcomes keys create makes one"
        raise NotAdmitted(401, UNAUTHENTICATED, message)
    if is_passed_on(headers):
        message = "there are no keys, so that nothing is served by way of a proxy; agent-outcomes keys create makes one"
        raise NotAdmitted(401, UNAUTHENTICATED, message)
    if not names_this_machine(headers.get("host")):
        message = "there are no keys, so that only requests to localhost are served; name it so, or create a key"
        raise NotAdmitted(403, NOT_ALLOWED, message)
    if headers.get("sec-fetch-site") == "cross-site":
        message = "a page of another site sent this; there are no keys, so that only this machine's own are served"
        raise NotAdmitted(403, NOT_ALLOWED, message)
    return LOCAL

# SPDX-License-Identifier: Apache-2.0
"""Browsers that have logged in, and the token that shows that a form is one of ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from typing import Final, NamedTuple

VISITS_MAX: Final = 1_000
VISIT_S: Final = 12 * 3600
_COOKIE_BYTES: Final = 32
_COOKIE_LENGTH_MAX: Final = 64


class _Visit(NamedTuple):
    secret: str
    ends_s: float

    def __repr__(self) -> str:
        return "_Visit(...)"


class Visits:
    """Who has logged in here, by the random text in their cookie; forgotten when this process ends.

    At most `VISITS_MAX` at a time, the oldest goes first, each for `VISIT_S`. The key itself is kept in memory alone,
    so that each request asks the ledger anew whether it still holds. Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: OrderedDict[str, _Visit] = OrderedDict()
        self._token_key = secrets.token_bytes(_COOKIE_BYTES)

    def begin(self, secret: str, now_s: float) -> str:
        """The cookie of somebody who has shown this key; never one that was there before."""
        cookie = self.new_cookie()
        with self._lock:
            while len(self._visits) >= VISITS_MAX:
                self._visits.popitem(last=False)
            self._visits[cookie] = _Visit(secret, now_s + VISIT_S)
        return cookie

    def secret_of(self, cookie: str, now_s: float) -> str | None:
        """The key that was shown with this cookie, if that was not too long ago."""
        with self._lock:
            visit = self._visits.get(cookie)
            if visit is None:
                return None
            if visit.ends_s <= now_s:
                del self._visits[cookie]
                return None
            return visit.secret

    def end(self, cookie: str) -> None:
        """Forget who had this cookie."""
        with self._lock:
            self._visits.pop(cookie, None)

    def new_cookie(self) -> str:
        """A cookie for somebody who has not logged in; it only binds the forms that they get."""
        return secrets.token_urlsafe(_COOKIE_BYTES)

    def form_token(self, cookie: str) -> str:
        """What each form of who has this cookie carries."""
        return hmac.new(self._token_key, cookie.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, token: str, cookie: str) -> bool:
        """Whether a form carries what it must, compared in constant time."""
        return hmac.compare_digest(self.form_token(cookie).encode(), token.encode("utf-8", "replace"))


def is_cookie(text: str) -> bool:
    """Whether it can be one of ours."""
    return 0 < len(text) <= _COOKIE_LENGTH_MAX and text.isascii() and text.replace("-", "").replace("_", "").isalnum()

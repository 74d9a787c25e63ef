# SPDX-License-Identifier: Apache-2.0
"""What an earlier whole outcome has left on a span, taken back when another one is stated there.

A whole outcome is all that is known of how the run ended and what it achieved: of one that was stated before, no field
stands, or a sale that did not come to pass would be counted.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.text import asked

if TYPE_CHECKING:
    from collections.abc import Collection

    from opentelemetry.trace import Span

    from agent_outcomes.api.attributes import Given

_STATED: Final[WeakKeyDictionary[Span, frozenset[str]]] = WeakKeyDictionary()


def withdraw_earlier(span: Span, given: Given) -> frozenset[str]:
    """Take off the span what only the whole outcome had that was stated on it before, if a whole one is given.

    Returns the attributes that it was.
    """
    if not given.whole:
        return frozenset()
    # A span of a class of its own may be no key: then what was stated on it is not known.
    earlier = asked(_STATED.get, span) or frozenset()
    asked(_STATED.__setitem__, span, frozenset(given.whole))
    stale = earlier - given.attributes.keys()
    clear_attributes(span, stale)
    return stale


def clear_attributes(span: Span, keys: Collection[str]) -> None:
    """Take attributes off an open span, for which OpenTelemetry has no public way.

    Where that cannot be done they become empty: as a text that says nothing, as anything else it is refused and listed.
    """
    held = look(span, "_attributes")
    if keys and isinstance(held, MutableMapping):
        for key in keys:
            asked(held.pop, key, None)
    left = [key for key in keys if _may_have(span, key)]
    if left:
        span.set_attributes(dict.fromkeys(left, ""))


def _may_have(span: Span, key: str) -> bool:
    shown = look(span, "attributes")
    return asked(shown.__contains__, key) is not False if isinstance(shown, Mapping) else span.is_recording()

# SPDX-License-Identifier: Apache-2.0
"""Who counted which run first, so that two processors on one tracer provider do not count it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

CLAIMS_MAX: Final = 4096


class Claims:
    """The most recently counted runs and their owners.

    A run is known by its ids and by its `SpanContext` object, which every processor of one provider is given: spans of
    two providers with predictable ids are then never mistaken for each other. An owner is kept as long as its claims
    are, so that it had better be a token than a processor.
    """

    def __init__(self) -> None:
        self._owners: dict[tuple[int, int], tuple[SpanContext, object, object]] = {}

    def claim(self, context: SpanContext, owner: object, what: object = None) -> object:
        """Claim the run for `owner`; returns whoever holds it now, `owner` itself only on the first claim of it.

        A repeated claim by its own holder returns `None`, but for one of the very same settlement, `what`, which has
        been interrupted.
        """
        key = (context.trace_id, context.span_id)
        claim = (context, owner, what)
        held = self._owners.setdefault(key, claim)
        if held is not claim and held[0] is not context:
            held = self._owners[key] = claim
        if len(self._owners) > CLAIMS_MAX:
            self._owners.pop(oldest_key(self._owners) or (0, 0), None)
        if held[1] is not owner:
            return held[1]
        return owner if held is claim or (what is not None and held[2] is what) else None

    def release(self, owner: object) -> None:
        """Forget the claims of an owner that makes no more of them."""
        for key in [key for key, held in list(self._owners.items()) if held[1] is owner]:
            self._owners.pop(key, None)


CLAIMS: Final = Claims()
FIRST_SPANS: Final = Claims()
"""The first span that each processor has seen start."""

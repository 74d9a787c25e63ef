# SPDX-License-Identifier: Apache-2.0
"""Who counted which run first, so that two processors on one tracer provider do not count it twice."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

CLAIMS_MAX: Final = 4096


class Claims:
    """The most recently counted runs and their owners.

    A run is known by its ids and by its `SpanContext` object, which every processor of one provider is given: spans of
    two providers with predictable ids are then never mistaken for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[tuple[int, int], tuple[SpanContext, object]] = {}

    def claim(self, context: SpanContext, owner: object) -> object:
        """Claim the run for `owner`; returns whoever holds it now, `owner` itself only on the first claim of it.

        A repeated claim by its own holder returns `None`.
        """
        key = (context.trace_id, context.span_id)
        with self._lock:
            held = self._owners.get(key)
            if held is not None and held[0] is context:
                return None if held[1] is owner else held[1]
            self._owners[key] = (context, owner)
            if len(self._owners) > CLAIMS_MAX:
                del self._owners[next(iter(self._owners))]
            return owner

    def after_fork_in_child(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self._lock = threading.Lock()


CLAIMS: Final = Claims()
FIRST_SPANS: Final = Claims()
"""The first span that each processor has seen start."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CLAIMS.after_fork_in_child)
    os.register_at_fork(after_in_child=FIRST_SPANS.after_fork_in_child)

# SPDX-License-Identifier: Apache-2.0
"""What the rules ask of a span, whoever made it: an SDK's span in this process, or one read from OTLP.

The tracker holds spans as it was given them and looks at them through a `FactsOf` alone, so that one engine serves the
span processor and everything that reads spans of other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agent_outcomes.outcome.attribute_reader import SpanLimits
    from agent_outcomes.outcome.classification import ErrorFacts
    from agent_outcomes.run.model import AgentSpan


class SpanIds(Protocol):
    """What tells a span apart; a span and those right below it in one process share the very object."""

    @property
    def trace_id(self) -> int:
        """128 bits."""
        ...

    @property
    def span_id(self) -> int:
        """64 bits."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether it came from another process."""
        ...


class SpanFacts(Protocol):
    """A span as it stands, open or ended. Reading one never raises."""

    @property
    def scope(self) -> str:
        """The name of its instrumentation scope, empty if it has none."""
        ...

    @property
    def scope_version(self) -> str | None:
        """The version of its instrumentation scope, `None` if it has none."""
        ...

    @property
    def name(self) -> str:
        """Its name, empty if that is no text."""
        ...

    @property
    def is_edge(self) -> bool:
        """Whether it is a server's, client's, consumer's or producer's."""
        ...

    @property
    def has_failed(self) -> bool:
        """Whether its status is ERROR."""
        ...

    @property
    def has_succeeded(self) -> bool:
        """Whether its status is OK."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether it has an end time."""
        ...

    @property
    def start_ns(self) -> int | None:
        """When it started, in nanoseconds since the epoch; `None` if that is no time."""
        ...

    @property
    def end_ns(self) -> int | None:
        """When it ended, likewise; `None` while it is open."""
        ...

    @property
    def look(self) -> Hashable:
        """What tells whether it may have become an agent: its name, how many attributes it has, its words for roles.

        Attributes can be added and overwritten, not taken away; of all others it matters only that they are there.
        """
        ...

    @property
    def limits(self) -> SpanLimits:
        """What limits may have taken from it."""
        ...

    def attributes(self) -> dict[str, Any]:
        """A copy of its attributes."""
        ...

    def exception_types(self) -> tuple[str, ...]:
        """The classes of its exception events, in order."""
        ...

    @property
    def error_text(self) -> str:
        """How the description of its status begins, and on a new line the message of its last exception."""
        ...

    def failed_at_ns(self) -> int | None:
        """When its last exception was recorded."""
        ...

    def snapshot(self, attributes: dict[str, Any], in_flight: ErrorFacts | None) -> AgentSpan:
        """The span as plain data, with these attributes and the exception that was in flight at its end."""
        ...


FactsOf = Callable[[Any], SpanFacts]

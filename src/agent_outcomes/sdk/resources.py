# SPDX-License-Identifier: Apache-2.0
"""Whose runs they are: the resource of the provider that made a run's spans, as the ledger keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource

from agent_outcomes.ledger.book.accepted import ResourceFacts
from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.record.record import AttributeValue

_SERVICE_NAME: Final = "service.name"
_SERVICE_NAMESPACE: Final = "service.namespace"
_ENVIRONMENT: Final = "deployment.environment.name"
_OLD_ENVIRONMENT: Final = "deployment.environment"
TRACES_MAX: Final = 50_000
FACTS_MAX: Final = 256
_PLAIN: Final = (str, bool, int, float)


class TraceResources:
    """The resource of the first span that was seen, and of each trace whose spans have another one."""

    def __init__(self, tracer_provider: TracerProvider | None) -> None:
        self._tracer_provider = tracer_provider
        self._first: Resource | None = None
        self._others: dict[int, Resource] = {}
        self._facts: dict[int, tuple[Resource, ResourceFacts]] = {}

    def noting(self, start: Callable[[ReadableSpan], int]) -> Callable[[ReadableSpan], int]:
        """`start`, which is called for every span that starts, taking note of its resource first."""

        def start_noting(span: ReadableSpan) -> int:
            if span.resource is not self._first:
                self._note(span)
            return start(span)

        return start_noting

    def facts_of(self, trace_id: int) -> ResourceFacts:
        """The resource of a trace's runs."""
        resource = self._others.get(trace_id) or self._first
        if resource is None:
            # No span of this provider has started: its sampler has dropped the run's.
            provider = self._tracer_provider if self._tracer_provider is not None else trace.get_tracer_provider()
            found = getattr(provider, "resource", None)
            resource = found if isinstance(found, Resource) else Resource.create({})
        known = self._facts.get(id(resource))
        if known is not None and known[0] is resource:
            return known[1]
        facts = resource_facts(resource)
        if len(self._facts) >= FACTS_MAX:
            self._facts.clear()
        self._facts[id(resource)] = resource, facts
        return facts

    def _note(self, span: ReadableSpan) -> None:
        context = span.context
        if self._first is None:
            self._first = span.resource
        elif context is not None:
            self._others[context.trace_id] = span.resource
            if len(self._others) > TRACES_MAX:
                self._others.pop(oldest_key(self._others) or 0, None)


def resource_facts(resource: Resource) -> ResourceFacts:
    """A resource as the ledger keeps it. Never raises."""
    return facts_of_attributes(resource.attributes)


def facts_of_attributes(attributes: Mapping[str, Any]) -> ResourceFacts:
    """The same of a resource's attributes, wherever they come from. Never raises."""
    environment = _text(attributes.get(_ENVIRONMENT)) or _text(attributes.get(_OLD_ENVIRONMENT))
    return ResourceFacts(
        _text(attributes.get(_SERVICE_NAME)),
        _text(attributes.get(_SERVICE_NAMESPACE)),
        environment,
        tuple((key, _value(value)) for key, value in attributes.items()),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _value(value: Any) -> AttributeValue:
    if isinstance(value, _PLAIN):
        return value
    return tuple(map(str, value)) if isinstance(value, list | tuple) else str(value)

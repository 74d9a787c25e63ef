# SPDX-License-Identifier: Apache-2.0
"""What `install()` adds to each tracer provider: a thin front of the one processor, so that each ends on its own."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider


class Attachment(SpanProcessor):
    """Passes one tracer provider's spans on to `processor`, and tells of that provider's shutdown only.

    Spans that end after it are passed on all the same: the processor counts them as long as another provider needs it,
    else as dropped.
    """

    def __init__(self, processor: AgentOutcomeSpanProcessor, on_shutdown: Callable[[], None]) -> None:
        self.processor = processor
        self.is_open = True
        self._on_shutdown = on_shutdown

    def reopen(self, processor: AgentOutcomeSpanProcessor) -> None:
        """Serve the provider again, with this processor."""
        self.processor = processor
        self.is_open = True

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass a started span on. Never raises."""
        self.processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass an ended span on. Never raises."""
        self.processor.on_end(span)

    def shutdown(self) -> None:
        """End this provider's part, once. Never raises."""
        if self.is_open:
            self.is_open = False
            self._on_shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush what the processor flushes; `False` if that took longer or failed. Never raises."""
        return self.processor.force_flush(timeout_millis)


class Attachments:
    """The attachment of each tracer provider that has not been collected; used under a lock of its user's."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[Callable[[], Any], Attachment]] = {}

    def of(self, provider: TracerProvider) -> Attachment | None:
        """The attachment of a provider, open or not."""
        found = self._by_id.get(id(provider))
        return found[1] if found is not None and found[0]() is provider else None

    def add(
        self, provider: TracerProvider, processor: AgentOutcomeSpanProcessor, on_shutdown: Callable[[], None]
    ) -> Attachment:
        """A new attachment, for the provider to be given."""
        attachment, key = Attachment(processor, on_shutdown), id(provider)

        def forget(reference: object) -> None:
            # The id may be another provider's by now.
            if self._by_id.get(key, (None,))[0] is reference:
                self._by_id.pop(key, None)

        refer: Callable[[], Any]
        try:
            refer = weakref.ref(provider, forget)
        except TypeError:  # a class of the application's own, with slots
            refer = lambda: provider  # noqa: E731 - one line is enough
        self._by_id[key] = (refer, attachment)
        return attachment

    def point_to(self, processor: AgentOutcomeSpanProcessor) -> None:
        """Have the open ones serve with this processor."""
        for _, attachment in list(self._by_id.values()):
            if attachment.is_open:
                attachment.processor = processor

    def are_open(self) -> bool:
        """Whether any provider has not been shut down."""
        return any(attachment.is_open for _, attachment in list(self._by_id.values()))

    def flushes(self) -> list[Callable[[], object]]:
        """What flushes the open providers that can be flushed."""
        providers = [refer() for refer, attachment in list(self._by_id.values()) if attachment.is_open]
        return [provider.force_flush for provider in providers if hasattr(provider, "force_flush")]

    def resource(self) -> Resource | None:
        """The resource of the first open provider."""
        providers = (refer() for refer, attachment in list(self._by_id.values()) if attachment.is_open)
        return getattr(next(providers, None), "resource", None)


def outcome_processor(processor: object) -> AgentOutcomeSpanProcessor | None:
    """The outcome processor that a span processor is or stands for; `None` for another kind."""
    found = processor.processor if isinstance(processor, Attachment) else processor
    return found if isinstance(found, AgentOutcomeSpanProcessor) else None

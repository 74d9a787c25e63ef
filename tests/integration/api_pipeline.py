# SPDX-License-Identifier: Apache-2.0
"""The in-memory pipeline with its spans kept as well, isolated from what other tests have left in the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_outcomes.sdk.processor import PROCESSORS
from tests.pipeline import Pipeline, SeenEvent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

PRIVATE_TEXT = "ask for Mrs. Miller, card 4711"


def isolate() -> None:
    """Let no processor of an earlier test answer."""
    for processor in PROCESSORS:
        PROCESSORS.close(processor)


class ApiPipeline(Pipeline):
    """A pipeline that keeps the spans that were exported; `provider` is what the API is to be given."""

    def __init__(self, *, sampler: Sampler | None = None, ids: IdGenerator | None = None, **settings: Any) -> None:
        isolate()
        super().__init__(**settings)
        self.exported = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exported))
        self.app = self.provider.get_tracer("app")

    def ended(self) -> list[ReadableSpan]:
        return list(self.exported.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """The only exported span of that name."""
        (span,) = (span for span in self.ended() if span.name == name)
        return span

    def stated(self, name: str = "invoke_agent bot") -> dict[str, Any]:
        """The `agent.outcome.*` attributes of a span, by their last part."""
        prefix = "agent.outcome."
        attributes = self.span(name).attributes or {}
        return {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}

    def event_of(self, agent: str) -> SeenEvent:
        (event,) = (event for event in self.events() if event.attributes["gen_ai.agent.name"] == agent)
        return event

    def leaks(self, text: str = PRIVATE_TEXT) -> list[str]:
        """Where a text appears in what was exported: spans with their events and status, and outcome events."""
        spans = [f"span {span.name}" for span in self.ended() if text in span.to_json()]
        records = [f"event {seen.name}" for seen in self.events() if text in f"{seen.body}{seen.attributes}"]
        return spans + records


def of(event: SeenEvent, *names: str) -> tuple[Any, ...]:
    """Several `agent.outcome.*` attributes of an event."""
    return tuple(event.outcome(name) for name in names)


def fail(error: BaseException) -> None:
    raise error


def named(name: str, module: str, *bases: type[BaseException], **fields: Any) -> BaseException:
    """An exception of the class of that qualified name, without the package that defines it."""
    cls = type(name, bases or (Exception,), {"__module__": module, **fields})
    made: BaseException = cls(PRIVATE_TEXT)
    return made

# SPDX-License-Identifier: Apache-2.0
"""Callbacks on other threads than spans end on: said once, and what the span itself says decides."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor, TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.sdk.attachment import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import SpanProcessor

SAID = "called on threads of a pool"


class Service:
    """A tracer provider with this multi-processor, and the statuses of its runs."""

    def __init__(self, multi: SynchronousMultiSpanProcessor | ConcurrentMultiSpanProcessor, *, attached: bool) -> None:
        self._events = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # the SDK leaves it untyped
        logs = LoggerProvider(shutdown_on_exit=False)
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._events))
        metrics = MeterProvider(shutdown_on_exit=False)
        processor: SpanProcessor = AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=metrics)
        if attached and isinstance(processor, AgentOutcomeSpanProcessor):
            processor = Attachment(processor, processor.shutdown)
        multi.add_span_processor(processor)
        self.provider = TracerProvider(active_span_processor=multi, shutdown_on_exit=False)

    def run(self, error: BaseException | None = None) -> None:
        tracer = self.provider.get_tracer("app")
        attributes = {"gen_ai.operation.name": "invoke_agent"}
        with (
            contextlib.suppress(BaseException),
            tracer.start_as_current_span("invoke_agent b", attributes=attributes),
        ):
            if error is not None:
                raise error

    @property
    def statuses(self) -> list[object]:
        records = [one.log_record for one in self._events.get_finished_logs()]
        return [(record.attributes or {})["agent.outcome.status"] for record in records]


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_pool_is_told_of_once(threads: int, *, attached: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Added by hand or by `install()`; an exception that the span has recorded counts all the same."""
    service = Service(ConcurrentMultiSpanProcessor(threads), attached=attached)
    service.run()
    service.run(TimeoutError("late"))
    service.run(ValueError("bad"))
    assert service.statuses == ["success", "timeout", "failure"]
    assert caplog.text.count(SAID) == 1
    service.provider.shutdown()


def here(run: Callable[[], None]) -> None:
    run()


def in_a_pool(run: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("call", [here, in_a_pool])
def test_spans_that_the_application_makes_in_a_pool_are_its_own(
    call: Callable[[Callable[[], None]], None], *, attached: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Their callbacks come where they end, so that what is in flight is seen, and nothing is said."""
    multi = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call] # as above
    service = Service(multi, attached=attached)
    call(lambda: service.run(KeyboardInterrupt()))
    assert service.statuses == ["cancelled"]
    assert SAID not in caplog.text
    service.provider.shutdown()

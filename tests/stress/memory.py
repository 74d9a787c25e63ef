# SPDX-License-Identifier: Apache-2.0
"""A real SDK pipeline whose ends are in memory and may be entered in the middle of themselves.

The SDK's own in-memory exporters hold a lock that is not re-entrant; a signal handler that ends a run would wait for
itself there. Here an event is kept by one append.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor
from tests.stress.ledger import Money, Sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.metrics.export import Metric

EVENT_NAME = "agent.outcome"


@dataclass(frozen=True, slots=True)
class Reported:
    """What an outcome event says of a run."""

    run_id: str
    uid: str
    revision: int
    is_reported: bool
    is_stale: bool
    value: Money | None
    costs: tuple[Money, ...]
    input_tokens: int
    output_tokens: int

    def sums(self) -> Sums:
        """What the run adds to the sums by this event."""
        sums = Sums(runs=1, input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        sums.add_value(self.value)
        for cost in self.costs:
            sums.add_cost(cost)
        return sums


def reported(attributes: Mapping[str, Any]) -> Reported:
    """An event's attributes, read."""
    return Reported(
        run_id=attributes.get("agent.outcome.run_id", ""),
        uid=attributes["log.record.uid"],
        revision=attributes["agent.outcome.revision"],
        is_reported=attributes["agent.outcome.state"] == "reported",
        is_stale="stale" in attributes.get("agent.outcome.evidence", ""),
        value=_money(attributes, "value", "currency"),
        costs=_costs(attributes),
        input_tokens=attributes.get("agent.run.input_tokens", 0),
        output_tokens=attributes.get("agent.run.output_tokens", 0),
    )


def _money(attributes: Mapping[str, Any], amount_name: str, currency_name: str) -> Money | None:
    amount = attributes.get(f"agent.outcome.{amount_name}")
    if amount is None:
        return None
    text = attributes.get(f"agent.outcome.{amount_name}_decimal", repr(amount))
    return Money(attributes[f"agent.outcome.{currency_name}"], Decimal(text))


def _costs(attributes: Mapping[str, Any]) -> tuple[Money, ...]:
    parts = attributes.get("agent.outcome.cost_breakdown")
    if parts is None:
        money = _money(attributes, "cost", "cost_currency")
        return () if money is None else (money,)
    return tuple(Money(currency, Decimal(amount)) for _, amount, currency in map(str.split, parts))


class EventMemory(LogRecordProcessor):
    """Keeps the attributes of every outcome event until they are taken."""

    def __init__(self) -> None:
        self._events: deque[Mapping[str, Any]] = deque()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if log_record.log_record.event_name == EVENT_NAME:
            self._events.append(log_record.log_record.attributes or {})

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def take(self) -> Iterator[Reported]:
        """The events that have come since."""
        while self._events:
            yield reported(self._events.popleft())


class Counters:
    """A snapshot of every counter, exact, and of how many measurements each histogram has.

    After a fork a child's own are under a scope of its own; `child_pid` is `None` in a process that is no child.
    """

    def __init__(self, reader: InMemoryMetricReader, child_pid: int | None = None) -> None:
        self._sets: list[tuple[str, dict[str, Any], Decimal]] = []
        data = reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                is_own = (scope.scope.attributes or {}).get("process.pid") == child_pid
                for metric in scope.metrics:
                    self._add(metric, is_own=is_own)

    def _add(self, metric: Metric, *, is_own: bool) -> None:
        for point in metric.data.data_points:
            labels = dict(point.attributes or {})
            if isinstance(point, NumberDataPoint):
                # A set's sum is kept exactly and shown as the nearest double, whose shortest text it is.
                self._sets.append((metric.name, labels, Decimal(repr(point.value))))
            elif isinstance(point, HistogramDataPoint) and is_own:
                self._sets.append((metric.name, labels, Decimal(point.count)))

    def by(self, name: str, label: str | None = None) -> dict[str, Decimal]:
        """The sums of a counter by the values of one label."""
        sums: Counter[str] = Counter()
        for counter, labels, amount in self._sets:
            if counter == name:
                sums[str(labels.get(label)) if label is not None else ""] += amount  # type: ignore[assignment]
        return {value: Decimal(amount) for value, amount in sums.items()}

    def total(self, name: str, **labels: str) -> Decimal:
        """The sum of a counter over the sets that have these labels; `_` stands for a dot in their names."""
        wanted = {key.replace("_", ".", 1): value for key, value in labels.items()}
        amounts = (
            amount
            for counter, found, amount in self._sets
            if counter == name and all(found.get(key) == value for key, value in wanted.items())
        )
        return sum(amounts, Decimal(0))

    def sums(self) -> Sums:
        """What the counters say of runs, tokens, values and costs."""
        tokens = self.by("agent.run.tokens", "gen_ai.token.type")
        values = self.by("agent.outcome.value", "agent.outcome.currency")
        for currency, amount in self.by("agent.outcome.reversal.value", "agent.outcome.currency").items():
            values[currency] = values.get(currency, Decimal(0)) - amount
        return Sums(
            runs=int(self.total("agent.runs")),
            input_tokens=int(tokens.get("input", 0)),
            output_tokens=int(tokens.get("output", 0)),
            values=values,
            costs=self.by("agent.run.cost", "agent.outcome.cost_currency"),
        )

    def outcome_count(self) -> int:
        """How many outcomes are reported, corrected ones once."""
        return int(self.total("agent.outcomes") - self.total("agent.outcome.reversals"))


class Memory:
    """Three providers around one processor; nothing global is touched."""

    def __init__(self, **settings: Any) -> None:
        self.events = EventMemory()
        self._logs = LoggerProvider(shutdown_on_exit=False)
        self._logs.add_log_record_processor(self.events)
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self._pid = os.getpid()
        self.spans = TracerProvider(shutdown_on_exit=False)
        self.spans.add_span_processor(
            AgentOutcomeSpanProcessor(logger_provider=self._logs, meter_provider=self._meters, **settings)
        )

    def counters(self) -> Counters:
        """What the counters stand at; runs may end meanwhile, on this very thread."""
        pid = os.getpid()
        return Counters(self._reader, pid if pid != self._pid else None)

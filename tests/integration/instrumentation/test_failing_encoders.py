# SPDX-License-Identifier: Apache-2.0
"""What fails between the queue and the receiver, encoders and their imports: all waits, or is counted as dropped."""

from __future__ import annotations

import contextlib
import errno
import importlib
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from agent_outcomes.instrumentation.delivery import Delivery
from agent_outcomes.instrumentation.metric_outlet import TEMPORALITY_VARIABLE, MetricOutlet
from agent_outcomes.instrumentation.waiting_logs import WaitingLogs
from agent_outcomes.otel_variables import HTTP, OtlpSignal
from agent_outcomes.semconv import DropReason
from tests.integration.scripted_receiver import http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.scripted_receiver import HttpReceiver

RESOURCE = Resource({"service.name": "shop"})
LOG_ENCODER = "agent_outcomes.otlp.encoding"
METRIC_ENCODER = "opentelemetry.exporter.otlp.proto.common.metrics_encoder"
OF_IMPORTS = (
    OSError(errno.EMFILE, "Too many open files"),
    ImportError("cannot import name"),
    MemoryError(),
    AttributeError("partially initialized module"),
    SyntaxError("cut short"),
)
OF_VALUES = (ValueError("no such value"), TypeError("no such kind"), OSError(errno.EIO, "of a value"), RecursionError())


class Finder:
    """Finds a module by raising."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error

    def find_spec(self, name: str, *_: object) -> None:
        if name == self.name:
            raise self.error


@contextlib.contextmanager
def unimportable(name: str, error: Exception) -> Iterator[None]:
    """While this lasts, who imports the module meets the error."""
    module, finder = importlib.import_module(name), Finder(name, error)
    sys.meta_path.insert(0, finder)
    del sys.modules[name]
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.modules[name] = module


@contextlib.contextmanager
def failing(name: str, function: str, error: Exception, fails: Callable[..., bool]) -> Iterator[None]:
    """While this lasts, the function raises where that says so of what it is given."""
    module = importlib.import_module(name)
    right = getattr(module, function)

    def raising(*args: Any, **kwargs: Any) -> Any:
        if fails(*args, **kwargs):
            raise error
        return right(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, function, raising)
        yield


class Outlets:
    """Both ends of private pipelines, of which only flushes send, and what they have lost."""

    def __init__(self) -> None:
        self.lost: Counter[DropReason] = Counter()
        self.logs = WaitingLogs(Delivery(OtlpSignal.LOGS, HTTP, "events"), RESOURCE, self._count)
        self.logger_provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(self.logs)
        self._logger = self.logger_provider.get_logger("agent_outcomes")
        self.metrics = MetricOutlet(Delivery(OtlpSignal.METRICS, HTTP, "metrics"), self._count)
        reader = PeriodicExportingMetricReader(self.metrics, export_interval_millis=3_600_000)
        self.meter_provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
        self._counter = self.meter_provider.get_meter("agent_outcomes").create_counter("agent.runs")

    def _count(self, reason: DropReason, count: int) -> None:
        self.lost[reason] += count

    def emit(self, *bodies: str) -> None:
        for body in bodies:
            self._logger.emit(timestamp=1, body=body, event_name="agent.outcome")

    def count(self, number: int) -> bool:
        self._counter.add(number)
        self.meter_provider.force_flush()
        return self.metrics.is_whole


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def make_outlets(monkeypatch: pytest.MonkeyPatch, receiver: HttpReceiver) -> Iterator[Callable[[str], Outlets]]:
    made: list[Outlets] = []

    def make(preference: str = "cumulative") -> Outlets:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "3600000")
        monkeypatch.setenv(TEMPORALITY_VARIABLE, preference)
        made.append(Outlets())
        return made[-1]

    yield make
    for outlets in made:
        outlets.logger_provider.shutdown()
        outlets.metrics.give_up()
        outlets.meter_provider.shutdown()


def bodies(receiver: HttpReceiver) -> list[str]:
    return [record.body.string_value for record in receiver.taken.records()]


def values(receiver: HttpReceiver) -> list[int]:
    return [
        point.as_int
        for request in receiver.taken.metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.sum.data_points
    ]


def named(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("when", ["made", "sent"])
@pytest.mark.parametrize("error", OF_IMPORTS, ids=named)
def test_events_wait_while_nothing_can_be_imported(
    error: Exception, when: str, make_outlets: Callable[..., Outlets], receiver: HttpReceiver
) -> None:
    """From before the pipeline is made, or only when it sends: all arrive, once and in order."""
    with contextlib.ExitStack() as stack:
        if when == "made":
            stack.enter_context(unimportable(LOG_ENCODER, error))
        outlets = make_outlets()
        if when == "sent":
            stack.enter_context(unimportable(LOG_ENCODER, error))
        for number in range(3):
            outlets.emit(str(number))
            assert not outlets.logs.force_flush(100)
        assert outlets.logs.waiting() == 3
    outlets.emit("3")
    assert outlets.logs.force_flush()
    assert bodies(receiver) == ["0", "1", "2", "3"]
    assert not outlets.lost


def encoder_without_memory() -> AbstractContextManager[None]:
    return failing(METRIC_ENCODER, "encode_metrics", MemoryError(), lambda *_: True)


@pytest.mark.parametrize("preference", ["cumulative", "delta", "lowmemory"])
@pytest.mark.parametrize("error", [None, *OF_IMPORTS], ids=named)
def test_metrics_wait_while_nothing_can_be_encoded(
    error: Exception | None, preference: str, make_outlets: Callable[..., Outlets], receiver: HttpReceiver
) -> None:
    """Of deltas each one, of cumulative collections the newest; `None` is an encoder that runs out of memory."""
    outlets = make_outlets(preference)
    with unimportable(METRIC_ENCODER, error) if error else encoder_without_memory():
        assert [outlets.count(number) for number in (1, 2)] == [False, False]
    assert outlets.count(4)
    assert values(receiver) == ([7] if preference == "cumulative" else [1, 2, 4])
    assert not outlets.lost


@pytest.mark.parametrize("bad", [(0,), (2,), (4,), (0, 1), (1, 3), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("error", OF_VALUES, ids=named)
def test_an_event_that_cannot_be_encoded_is_counted_and_hurts_no_other(
    error: Exception, bad: tuple[int, ...], make_outlets: Callable[..., Outlets], receiver: HttpReceiver
) -> None:
    """Wherever it stands, and however many there are; the flush that dropped it says so, the next is whole."""
    outlets = make_outlets()
    outlets.emit(*map(str, range(5)))
    with failing(LOG_ENCODER, "encoded_record", error, lambda **given: int(given["body"]) in bad):
        assert not outlets.logs.force_flush()
    assert bodies(receiver) == [str(number) for number in range(5) if number not in bad]
    assert (outlets.lost, outlets.logs.waiting()) == ({DropReason.ERROR: len(bad)}, 0)
    outlets.emit("5")
    assert outlets.logs.force_flush()


def test_an_event_for_which_memory_runs_out_waits(make_outlets: Callable[..., Outlets], receiver: HttpReceiver) -> None:
    """That is the process's failure and may pass; those before it wait with it, and none is sent twice."""
    outlets = make_outlets()
    outlets.emit(*map(str, range(5)))
    with failing(LOG_ENCODER, "encoded_record", MemoryError(), lambda **given: given["body"] == "3"):
        assert not outlets.logs.force_flush(100)
        assert outlets.logs.waiting() == 5
    assert outlets.logs.force_flush()
    assert bodies(receiver) == ["0", "1", "2", "3", "4"]
    assert not outlets.lost


@pytest.mark.parametrize("preference", ["cumulative", "delta", "lowmemory"])
@pytest.mark.parametrize("error", OF_VALUES, ids=named)
def test_metrics_that_cannot_be_encoded_are_counted(
    error: Exception, preference: str, make_outlets: Callable[..., Outlets], receiver: HttpReceiver
) -> None:
    """A delta is lost by it, a total is in the next collection."""
    outlets = make_outlets(preference)
    with failing(METRIC_ENCODER, "encode_metrics", error, lambda *_: True):
        assert not outlets.count(1)
    assert outlets.count(2)
    is_cumulative = preference == "cumulative"
    assert values(receiver) == [3 if is_cumulative else 2]
    assert outlets.lost == ({} if is_cumulative else {DropReason.ERROR: 1})

# SPDX-License-Identifier: Apache-2.0
"""Private pipelines against receivers that fail: nothing is lost in silence, and a flush tells the truth."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from agent_outcomes.instrumentation.delivery import Delivery, making
from agent_outcomes.instrumentation.metric_outlet import COLLECTIONS_MAX, TEMPORALITY_VARIABLE, MetricOutlet
from agent_outcomes.instrumentation.waiting_logs import RECORDS_WAITING_MAX, WaitingLogs
from agent_outcomes.otel_variables import GRPC, HTTP, OtlpSignal
from agent_outcomes.semconv import DropReason
from tests.integration.installed import python
from tests.integration.otlp.payloads import partial
from tests.integration.scripted_receiver import GrpcReceiver, HttpReceiver, Reply, grpc_receiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

RESOURCE = Resource({"service.name": "shop"})


class Logs:
    """A logger whose records go out as those of a private pipeline, and what was lost on the way."""

    def __init__(self, protocol: str = HTTP) -> None:
        self.lost: Counter[DropReason] = Counter()
        self.outlet = WaitingLogs(Delivery(OtlpSignal.LOGS, protocol, "events"), RESOURCE, self._count)
        self.provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
        self.provider.add_log_record_processor(self.outlet)
        self._logger = self.provider.get_logger("agent_outcomes")

    def _count(self, reason: DropReason, count: int) -> None:
        self.lost[reason] += count

    def emit(self, *bodies: str | int) -> None:
        for body in bodies:
            self._logger.emit(timestamp=1, body=str(body), event_name="agent.outcome", attributes={"uid": body})

    def end(self) -> None:
        self.provider.shutdown()


@pytest.fixture
def make_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Logs]]:
    made: list[Logs] = []

    def make(receiver: HttpReceiver | GrpcReceiver | str, protocol: str = HTTP, **environ: str) -> Logs:
        url = receiver if isinstance(receiver, str) else receiver.url
        for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **environ}.items():
            monkeypatch.setenv(name, value)
        made.append(Logs(protocol))
        return made[-1]

    yield make
    for logs in made:
        logs.end()


def bodies(receiver: HttpReceiver | GrpcReceiver) -> list[str]:
    return [record.body.string_value for record in receiver.taken.records()]


def wait_until(is_so: Callable[[], bool], limit_s: float = 20) -> None:
    until_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < until_s
        threading.Event().wait(0.02)


def free_port() -> int:
    with http_receiver() as receiver:
        return receiver.port


KEPT = (301, 302, 307, 308, 401, 403, 404, 405, 408, 415, 425, 429, 500, 501, 502, 503, 504, 599)
SPLIT = (400, 409, 413, 422)


@pytest.mark.parametrize("status", [*KEPT, *SPLIT])
def test_one_bad_answer_loses_nothing(status: int, make_logs: Callable[..., Logs]) -> None:
    """What was answered so once is sent again, or apart, within one flush; a redirect is followed nowhere."""
    with http_receiver() as elsewhere, http_receiver() as receiver:
        first = Reply(status, {"location": f"{elsewhere.url}/v1/logs"})
        receiver.script = lambda _, number, __: first if number == 1 else None
        logs = make_logs(receiver)
        logs.emit(*range(5))
        assert logs.outlet.force_flush()
        assert bodies(receiver) == [str(number) for number in range(5)]
        assert elsewhere.taken.paths == []
        assert not logs.lost


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_a_receiver_that_is_away_is_waited_for(protocol: str, make_logs: Callable[..., Logs]) -> None:
    """Five seconds at twenty a second while nothing listens: all arrive by themselves when it is back."""
    port = free_port()
    logs = make_logs(f"http://127.0.0.1:{port}", protocol)
    for number in range(100):
        logs.emit(number)
        threading.Event().wait(0.05)
    assert not logs.outlet.force_flush(300)
    make = http_receiver if protocol == HTTP else grpc_receiver
    with make(port=port) as receiver:
        wait_until(lambda: len(receiver.taken.records()) >= 100)
        assert logs.outlet.force_flush()
        assert sorted(bodies(receiver), key=int) == [str(number) for number in range(100)]
    assert not logs.lost


def test_a_poison_record_hurts_only_itself(make_logs: Callable[..., Logs], caplog: pytest.LogCaptureFixture) -> None:
    """Of 512 the one that is refused is found by halves, counted, and told of with the receiver's words."""

    def script(_: str, __: int, body: bytes) -> Reply | None:
        return Reply(400, {"content-type": "text/plain"}, b"bad record") if b"poison" in body else None

    with http_receiver(script) as receiver:
        logs = make_logs(receiver, OTEL_BLRP_SCHEDULE_DELAY="60000")
        logs.emit(*("poison" if number == 317 else number for number in range(511)))
        assert not logs.outlet.force_flush()
        assert bodies(receiver) == [str(number) for number in range(511) if number != 317]
        assert logs.lost == {DropReason.REFUSED: 1}
        assert len(receiver.taken.paths) < 25
        logs.emit("fine")
        assert logs.outlet.force_flush()
    (message,) = caplog.messages
    assert "1 agent outcome events were dropped, as the receiver refuses them: invalid: bad record" in message


def test_a_record_at_which_the_receiver_fails_holds_up_no_other(make_logs: Callable[..., Logs]) -> None:
    """An error 500 on one record: after some tries the others arrive, and it waits on."""
    with http_receiver(lambda _, __, body: Reply(500) if b"poison" in body else None) as receiver:
        logs = make_logs(receiver, OTEL_BLRP_SCHEDULE_DELAY="100")
        logs.emit(*range(40), "poison", *range(40, 80))
        wait_until(lambda: len(receiver.taken.records()) == 80)
        assert not logs.outlet.force_flush(500)
        assert (logs.outlet.waiting(), logs.lost) == (1, {})
        assert logs.outlet.give_up() == 1
        assert logs.lost == {DropReason.UNDELIVERED: 1}


@pytest.mark.parametrize("rejected", [1, 3, 5, 9])
def test_what_was_rejected_in_part_is_counted_and_not_sent_again(rejected: int, make_logs: Callable[..., Logs]) -> None:
    """The receiver has the rest, and which it rejected it does not tell."""
    with http_receiver(lambda *_: Reply(body=partial(rejected))) as receiver:
        logs = make_logs(receiver)
        logs.emit(*range(5))
        assert not logs.outlet.force_flush()
        assert logs.outlet.force_flush()
        assert logs.lost == {DropReason.REFUSED: min(rejected, 5)}
        assert receiver.taken.count("/v1/logs") == 1


def test_where_there_is_no_room_the_oldest_goes(make_logs: Callable[..., Logs]) -> None:
    """Of 10,100 that wait the last 10,000 arrive, in order, and a hundred are counted."""
    port = free_port()
    logs = make_logs(f"http://127.0.0.1:{port}")
    logs.emit(*range(50))
    assert not logs.outlet.force_flush(200)
    logs.emit(*range(50, RECORDS_WAITING_MAX + 100))
    assert not logs.outlet.force_flush(200)
    assert logs.outlet.waiting() == RECORDS_WAITING_MAX
    assert logs.lost == {DropReason.LIMIT: 100}
    with http_receiver(port=port) as receiver:
        wait_until(lambda: len(receiver.taken.records()) == RECORDS_WAITING_MAX)
        assert bodies(receiver) == [str(number) for number in range(100, RECORDS_WAITING_MAX + 100)]


def test_a_burst_arrives_whole(make_logs: Callable[..., Logs]) -> None:
    """Eight threads put down as fast as they can: all arrive, or are counted."""
    with http_receiver() as receiver:
        logs = make_logs(receiver)
        threads = [
            threading.Thread(target=logs.emit, args=range(start, start + 1000)) for start in range(0, 8000, 1000)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logs.outlet.force_flush()
        assert len(set(bodies(receiver))) + logs.lost[DropReason.LIMIT] == 8000
        assert len(bodies(receiver)) == len(set(bodies(receiver)))


def test_the_receivers_word_on_when_to_come_again_is_kept(make_logs: Callable[..., Logs]) -> None:
    """With a Retry-After of two seconds nothing is sent before, but by who asks for a flush."""
    first = Reply(503, {"retry-after": "2"})
    with http_receiver(lambda _, number, __: first if number == 1 else None) as receiver:
        logs = make_logs(receiver, OTEL_BLRP_SCHEDULE_DELAY="50")
        logs.emit("a")
        wait_until(lambda: receiver.taken.count("/v1/logs") == 1)
        came_s = time.monotonic()
        wait_until(lambda: bodies(receiver) == ["a"])
        assert time.monotonic() - came_s > 1.7


def test_one_line_a_minute_says_what_waits(make_logs: Callable[..., Logs], caplog: pytest.LogCaptureFixture) -> None:
    """It names the endpoint without its secrets, cause and fix, on one line whatever the receiver writes."""
    words = "no \x1b[2J entry for Bearer-CANARY-1 \u202e\r\nhere"
    reply = Reply(403, {"content-type": "text/plain"}, words.encode())
    with http_receiver(lambda *_: reply) as receiver:
        url = receiver.url.replace("//", "//me:CANARY-2@")
        logs = make_logs(url, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer-CANARY-1", OTEL_BLRP_SCHEDULE_DELAY="20")
        logs.emit(*range(3))
        wait_until(lambda: bool(caplog.messages))
        logs.outlet.force_flush(3000)
        (message,) = caplog.messages
    assert f"events wait in memory (3 so far) as they could not be delivered to {receiver.url}/v1/logs" in message
    assert "forbidden: no \\x1b[2J entry for *** \\u202e here" in message
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in message
    assert "CANARY" not in message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_sends_its_own_alone(make_logs: Callable[..., Logs]) -> None:
    """What waits in the parent at the fork is the parent's, and a lock held there keeps nobody."""
    with http_receiver() as receiver:
        logs = make_logs(receiver, OTEL_BLRP_SCHEDULE_DELAY="60000")
        logs.emit("parent")
        with logs.outlet._sending:
            child = os.fork()
            if child == 0:
                logs.outlet.after_fork_in_child()
                logs.emit("child")
                os._exit(0 if logs.outlet.force_flush(5000) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert bodies(receiver) == ["child"]
        assert logs.outlet.force_flush()
        assert bodies(receiver) == ["child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_fork_waits_until_nothing_is_half_imported() -> None:
    """A thread of ours imports what sends: the child begins after that, and can import it, too."""
    is_importing, has_imported = threading.Event(), threading.Event()

    def hold() -> None:
        with making.lock:
            is_importing.set()
            threading.Event().wait(0.3)
            has_imported.set()

    thread = threading.Thread(target=hold)
    thread.start()
    is_importing.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if has_imported.is_set() and making.lock.acquire(timeout=10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
    assert making.lock.acquire(timeout=10)
    making.lock.release()


def test_what_is_under_way_ends_when_it_is_given_up(make_logs: Callable[..., Logs]) -> None:
    """A receiver that does not answer holds nobody, and what it may not have is counted."""
    never = threading.Event()

    def script(*_: object) -> None:
        never.wait(20)

    with http_receiver(script) as receiver:
        logs = make_logs(receiver)
        logs.emit(*range(3))
        flushing = threading.Thread(target=logs.outlet.force_flush)
        flushing.start()
        wait_until(lambda: receiver.taken.count("/v1/logs") == 1)
        started_s = time.monotonic()
        assert logs.outlet.give_up() == 3
        flushing.join()
        assert time.monotonic() - started_s < 10
        assert logs.lost == {DropReason.UNDELIVERED: 3}
        never.set()


# Metrics


def points(receiver: HttpReceiver, name: str) -> list[NumberDataPoint]:
    return [
        point
        for request in receiver.taken.metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.sum.data_points
    ]


class Metrics:
    """A counter that is read out as those of a private pipeline are."""

    def __init__(self) -> None:
        self.lost: Counter[DropReason] = Counter()
        self.outlet = MetricOutlet(Delivery(OtlpSignal.METRICS, HTTP, "metrics"), self._count)
        reader = PeriodicExportingMetricReader(self.outlet, export_interval_millis=3_600_000)
        self.provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
        self.counter = self.provider.get_meter("agent_outcomes").create_counter("agent.runs")

    def _count(self, reason: DropReason, count: int) -> None:
        self.lost[reason] += count

    def count(self, number: int) -> bool:
        """Count, and have it collected; whether it was delivered."""
        self.counter.add(number)
        self.provider.force_flush()
        return self.outlet.is_whole


@pytest.fixture
def make_metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Metrics]]:
    made: list[Metrics] = []

    def make(url: str, preference: str) -> Metrics:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
        monkeypatch.setenv(TEMPORALITY_VARIABLE, preference)
        made.append(Metrics())
        return made[-1]

    yield make
    for metrics in made:
        metrics.outlet.give_up()
        metrics.provider.shutdown()


@pytest.mark.parametrize("preference", ["cumulative", "delta", "lowmemory"])
def test_metrics_of_an_outage_are_whole_after_it(preference: str, make_metrics: Callable[..., Metrics]) -> None:
    """Deltas are each sent, in order; of cumulative collections the newest is enough."""
    port = free_port()
    metrics = make_metrics(f"http://127.0.0.1:{port}", preference)
    assert [metrics.count(number) for number in (1, 2, 4)] == [False] * 3
    with http_receiver(port=port) as receiver:
        assert metrics.count(8)
        values = [point.as_int for point in points(receiver, "agent.runs")]
    assert values == ([15] if preference == "cumulative" else [1, 2, 4, 8])
    assert not metrics.lost


def test_deltas_wait_within_bounds(make_metrics: Callable[..., Metrics]) -> None:
    """The oldest collection goes where there is no room, and is counted."""
    metrics = make_metrics("http://127.0.0.1:1", "delta")
    metrics.outlet.delivery.close()  # no time is lost on trying
    for _ in range(COLLECTIONS_MAX + 3):
        metrics.count(1)
    assert metrics.lost == {DropReason.LIMIT: 3}
    assert metrics.outlet.waiting() == COLLECTIONS_MAX


@pytest.mark.parametrize(("preference", "lost"), [("cumulative", 0), ("delta", 1)])
def test_metrics_that_are_refused(preference: str, lost: int, make_metrics: Callable[..., Metrics]) -> None:
    """The flush says so; a delta is lost by it, a total is sent with the next collection."""
    with http_receiver(lambda _, number, __: Reply(400) if number == 1 else None) as receiver:
        metrics = make_metrics(receiver.url, preference)
        assert [metrics.count(1), metrics.count(1)] == [False, True]
        assert [point.as_int for point in points(receiver, "agent.runs")] == [1 if lost else 2]
        assert metrics.lost == ({DropReason.REFUSED: 1} if lost else {})


# As an application sees it


def test_what_is_lost_is_in_the_health_counters() -> None:
    """Refused for good: the flush is `False`, the event is counted as dropped, and the metrics tell of it."""
    script = """
trace.set_tracer_provider(tracer_provider())
processor = install()
run("a"); run("b")
from agent_outcomes.semconv import AGENT_OUTCOMES_PROCESSOR_DROPPED as DROPPED
assert not trace.get_tracer_provider().force_flush()
print(json.dumps([[list(labels), count] for labels, count in processor._sink.health_totals().sums(DROPPED)]))
"""

    def refuse(path: str, _: int, __: bytes) -> Reply | None:
        return Reply(422) if path == "/v1/logs" else None

    with http_receiver(refuse) as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_PROTOCOL": HTTP}
        done = python(script, **environ)
        assert (done.code, done.report) == (0, [[["refused", "event"], 2]])
        assert done.err.count("the receiver refuses them") == len(done.err.splitlines()) == 1
        assert [point.as_int for point in points(receiver, "agent_outcomes.processor.dropped")][-1:] == [2]

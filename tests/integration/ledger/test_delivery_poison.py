# SPDX-License-Identifier: Apache-2.0
"""Records that a receiver refuses: they alone become dead letters, whatever batch they are in, however refused."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_outcomes.ledger.delivery.events import REFUSED_IN_A_ROW_MAX
from agent_outcomes.ledger.delivery.rounds import Rounds
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.rows import DeliveryState
from agent_outcomes.semconv import DeadReason
from tests.integration.ledger.accepted import RESOURCE, acceptance, made_run
from tests.integration.ledger.deliveries import delivery_of, opened
from tests.integration.ledger.receiver import TAKEN, Receiver, Reply, partly, records_of, turned_down, uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

WORDS: Final = "record 3 has a bad timestamp"
HTML_FREE: Final = ("Content-Type", "text/plain")


def uid(number: int) -> str:
    return f"{made_run(number).id}-0"


def refusing(numbers: Collection[int], reply: Callable[[int], Reply]) -> Callable[[ExportLogsServiceRequest], Reply]:
    """A receiver that takes no request with one of these in it, and says so as `reply` has it for their number."""
    bad = {uid(number) for number in numbers}

    def answer(request: ExportLogsServiceRequest) -> Reply:
        found = sum(uid_of(record) in bad for _, record in records_of(request))
        return reply(found) if found else TAKEN

    return answer


REFUSALS: Final[dict[str, Callable[[int], Reply]]] = {
    "the whole batch by status": lambda _: turned_down(400, HTML_FREE, body=WORDS.encode()),
    "in part": lambda found: partly(found, WORDS),
}


def deliver(store: Store, receiver: Receiver, rounds_max: int = 50) -> None:
    """Run rounds until nothing waits that may be sent now."""
    rounds = Rounds(read_delivery_targets(receiver.environ | {"OTEL_METRICS_EXPORTER": "none"}))
    for _ in range(rounds_max):
        if rounds.run(store) > 0:
            break
    rounds.leave(store)


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("poison", [0, 137, 511])
def test_one_of_512(tmp_path: Path, kind: str, poison: int) -> None:
    """511 are delivered and one is a dead letter with the receiver's words, wherever it stands."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.on_logs = refusing([poison], REFUSALS[kind])
        store.accept([acceptance(number) for number in range(512)])
        deliver(store, receiver)
        status = store.status()
        assert (status.accepted, status.delivered, status.waiting) == (512, 511, 0)
        assert status.dead == ((DeadReason.REFUSED.value, 1),)
        found = delivery_of(store, poison)
        assert (found.state, found.message) == (DeliveryState.DEAD, WORDS)
        # A batch, and its halves down to one record.
        assert receiver.requests == 1 + 2 * 9
        taken = receiver.seen.uids()
        assert set(taken) == {uid(number) for number in range(512) if number != poison}
        assert set(taken.values()) == {1}


def test_a_receiver_that_keeps_the_rest(tmp_path: Path) -> None:
    """One that takes what it does not reject sees some of it twice, under the same uid, and all of it."""
    with opened(tmp_path) as store, Receiver() as receiver:
        answer = refusing([5], REFUSALS["in part"])

        def keeping(request: ExportLogsServiceRequest) -> Reply:
            reply = answer(request)
            receiver.seen.logs.append(request)
            return Reply(reply.status, reply.headers, reply.body, takes=False)

        receiver.on_logs = keeping
        store.accept([acceptance(number) for number in range(16)])
        deliver(store, receiver)
        assert store.status().delivered == 15
        taken = receiver.seen.uids()
        assert len(taken) == 16
        assert max(taken.values()) <= 1 + 4


def test_a_batch_too_large_is_split(tmp_path: Path) -> None:
    """A receiver that takes no more than so many bytes gets requests of that size, and nothing is a dead letter."""
    with opened(tmp_path) as store, Receiver() as receiver:

        def answer(request: ExportLogsServiceRequest) -> Reply:
            return turned_down(413) if request.ByteSize() > 40_000 else TAKEN

        receiver.on_logs = answer
        store.accept([acceptance(number) for number in range(1_000)])
        deliver(store, receiver, 200)
        status = store.status()
        assert (status.delivered, status.dead) == (1_000, ())
        assert set(receiver.seen.uids().values()) == {1}
        # It learns: most requests are of a size that is taken.
        assert receiver.requests < 2.5 * len(receiver.seen.logs)


def test_a_record_too_large_is_a_dead_letter(tmp_path: Path) -> None:
    """What is refused for its size though it is alone has a reason of its own."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.on_logs = refusing([2], lambda _: turned_down(413))
        store.accept([acceptance(number) for number in range(4)])
        deliver(store, receiver)
        assert store.status().dead == ((DeadReason.TOO_LARGE.value, 1),)
        assert store.status().delivered == 3


def test_a_receiver_that_refuses_everything(tmp_path: Path) -> None:
    """A few become dead letters, then it is asked now and then only: the rest waits, and is delivered in the end."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.on_logs = lambda _: turned_down(400)
        store.accept([acceptance(number) for number in range(300)])
        deliver(store, receiver)
        status = store.status()
        assert sum(count for _, count in status.dead) == REFUSED_IN_A_ROW_MAX
        assert status.waiting == 300 - REFUSED_IN_A_ROW_MAX
        receiver.on_logs = lambda _: TAKEN
        deliver(store, receiver)
        assert store.status().waiting == 0


def test_events_of_several_resources(tmp_path: Path) -> None:
    """They go in one request, each below its own resource with all its attributes."""
    others = [
        RESOURCE._replace(attributes=(("service.name", "shop"), ("service.instance.id", f"worker-{number}")))
        for number in range(20)
    ]
    with opened(tmp_path) as store, Receiver() as receiver:
        store.accept([acceptance(number, others[number % 20]) for number in range(100)])
        deliver(store, receiver)
        assert receiver.requests == 1
        found = {uid_of(record): resource["service.instance.id"] for resource, record in receiver.seen.records()}
        assert found == {uid(number): f"worker-{number % 20}" for number in range(100)}


@settings(max_examples=12, deadline=None)
@given(
    total=st.integers(1, 90),
    poison=st.sets(st.integers(0, 89), max_size=REFUSED_IN_A_ROW_MAX - 1),
    kind=st.sampled_from(sorted(REFUSALS)),
)
def test_any_of_any(total: int, poison: set[int], kind: str) -> None:
    """Whichever are refused, these and no others are dead letters, and each other one is taken once."""
    poison = {number for number in poison if number < total}
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as store, Receiver() as receiver:
        receiver.on_logs = refusing(poison, REFUSALS[kind])
        store.accept([acceptance(number) for number in range(total)])
        deliver(store, receiver)
        status = store.status()
        assert (status.delivered, sum(count for _, count in status.dead)) == (total - len(poison), len(poison))
        assert set(receiver.seen.uids()) == {uid(number) for number in set(range(total)) - poison}
        assert set(receiver.seen.uids().values()) <= {1}

# SPDX-License-Identifier: Apache-2.0
"""What becomes of an event by what its receiver answers: one row for each answer, from a real server."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from agent_outcomes.ledger.delivery.rounds import Rounds
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.rows import DeliveryState
from tests.integration.ledger.accepted import acceptance
from tests.integration.ledger.deliveries import delivery_of, opened
from tests.integration.ledger.receiver import TAKEN, Receiver, Reply, partly, turned_down

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

WAITING: Final = DeliveryState.WAITING
DELIVERED: Final = DeliveryState.DELIVERED
DEAD: Final = DeliveryState.DEAD
HTML: Final = ("Content-Type", "text/html")
PROTOBUF: Final = ("Content-Type", "application/x-protobuf")
HELD_BACK_S: Final = 40.0
LEAST_WAIT_S: Final = 0.75


class Row(NamedTuple):
    """One answer; `says` is part of what is kept with a dead letter, or of the log while it waits."""

    reply: Reply
    state: DeliveryState
    says: str = ""
    wait_s: float = 0.0


ROWS: Final[dict[str, Row]] = {
    "200": Row(TAKEN, DELIVERED),
    "200 and the empty message": Row(Reply(200, (PROTOBUF,)), DELIVERED),
    "200 and a warning": Row(Reply(200, (PROTOBUF,), partly(0, "soon to be retired").body), DELIVERED),
    "202": Row(Reply(202), DELIVERED),
    "204": Row(Reply(204), DELIVERED),
    "200 that rejects it": Row(partly(1, "the timestamp is too old"), DEAD, "the timestamp is too old"),
    "200 and a login page": Row(turned_down(200, HTML, body=b"<html>Sign in</html>"), WAITING, "OTLP_ENDPOINT"),
    "200 and a flood": Row(turned_down(200, HTML, body=b"x" * 200_000), WAITING, "OTLP_ENDPOINT"),
    "300": Row(turned_down(300), WAITING, "OTLP_ENDPOINT"),
    "301": Row(turned_down(301, ("Location", "http://127.0.0.1:9/v1/logs")), WAITING, "redirects are not followed"),
    "302": Row(turned_down(302, ("Location", "/v1/logs")), WAITING, "redirects are not followed"),
    "303": Row(turned_down(303, ("Location", "/login")), WAITING, "redirects are not followed"),
    "304": Row(turned_down(304), WAITING, "redirects are not followed"),
    "307": Row(turned_down(307, ("Location", "/v1/logs")), WAITING, "redirects are not followed"),
    "308": Row(turned_down(308, ("Location", "/v1/logs")), WAITING, "redirects are not followed"),
    "400": Row(turned_down(400, body=b"no such field"), DEAD, "no such field"),
    "401": Row(turned_down(401), WAITING, "OTLP_HEADERS"),
    "402": Row(turned_down(402), WAITING, "OTLP_HEADERS"),
    "403": Row(turned_down(403), WAITING, "OTLP_HEADERS"),
    "404": Row(turned_down(404), WAITING, "OTLP_ENDPOINT"),
    "405": Row(turned_down(405), WAITING, "OTLP_ENDPOINT"),
    "407": Row(turned_down(407), WAITING, "OTLP_HEADERS"),
    "408": Row(turned_down(408), WAITING, "timeout"),
    "409": Row(turned_down(409), DEAD),
    "410": Row(turned_down(410), WAITING, "OTLP_ENDPOINT"),
    "411": Row(turned_down(411), WAITING, "OTLP_PROTOCOL"),
    "413": Row(turned_down(413), DEAD),
    "415": Row(turned_down(415), WAITING, "OTLP_PROTOCOL"),
    "418": Row(turned_down(418), DEAD),
    "422": Row(turned_down(422, body=b"uid missing"), DEAD, "uid missing"),
    "425": Row(turned_down(425), WAITING),
    "429": Row(turned_down(429), WAITING, "throttled"),
    "429 with seconds": Row(turned_down(429, ("Retry-After", "41")), WAITING, "throttled", HELD_BACK_S),
    "431": Row(turned_down(431), WAITING, "OTLP_HEADERS"),
    "500": Row(turned_down(500, body=b"oops"), WAITING, "server_error"),
    "501": Row(turned_down(501), WAITING, "OTLP_PROTOCOL"),
    "502": Row(turned_down(502), WAITING, "unavailable"),
    "503": Row(turned_down(503), WAITING, "unavailable"),
    "503 with a date": Row(
        turned_down(503, ("Retry-After", formatdate(time.time() + 86_400, usegmt=True))), WAITING, "", HELD_BACK_S
    ),
    "503 with a word": Row(turned_down(503, ("Retry-After", "later")), WAITING, "unavailable"),
    "504": Row(turned_down(504), WAITING, "unavailable"),
    "511": Row(turned_down(511), WAITING, "OTLP_HEADERS"),
    "520": Row(turned_down(520), WAITING, "server_error"),
    "599": Row(turned_down(599), WAITING, "server_error"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as store:
        yield store


@pytest.mark.parametrize("name", ROWS)
def test_answer(store: Store, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The event is delivered, waits or is a dead letter, as its row says, and what waits is delivered in the end."""
    row = ROWS[name]
    number = list(ROWS).index(name)
    store.accept([acceptance(number)])
    with Receiver() as receiver:
        receiver.on_logs = lambda _: row.reply
        rounds = Rounds(read_delivery_targets(receiver.environ | {"OTEL_METRICS_EXPORTER": "none"}))
        began_s = time.monotonic()
        wait_s = rounds.run(store)
        found = delivery_of(store, number)
        assert found.state is row.state
        assert receiver.requests == 1
        if row.state is WAITING:
            assert row.says in caplog.text
            waits_until_s = time.monotonic() + next(rounds.outlets()).wait_s
            assert waits_until_s - began_s >= max(row.wait_s, LEAST_WAIT_S)
            assert wait_s > 0
        else:
            assert row.says in (found.message or "")
        rounds.hurry()
        receiver.on_logs = lambda _: TAKEN
        rounds.run(store)
        # What the receiver has asked for is waited for, whoever is in a hurry.
        is_held_back = row.wait_s > 0
        expected = DELIVERED if row.state is WAITING and not is_held_back else row.state
        assert delivery_of(store, number).state is expected
        assert receiver.requests == (2 if row.state is WAITING and not is_held_back else 1)


def test_all_forty_rows_are_there() -> None:
    """The table has the answers that the research lists, each once."""
    assert len(ROWS) >= 40
    assert {row.state for row in ROWS.values()} == {WAITING, DELIVERED, DEAD}


def test_receiver_that_is_not_there(tmp_path: Path) -> None:
    """A refused connection keeps all; when the receiver comes, it gets all."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.go_away()
        store.accept([acceptance(number) for number in range(3)])
        rounds = Rounds(read_delivery_targets(receiver.environ))
        rounds.run(store)
        assert store.status().waiting == 3
        receiver.come_back()
        rounds.hurry()
        rounds.run(store)
        assert store.status().waiting == 0
        assert len(receiver.seen.uids()) == 3
        rounds.leave(store)

# SPDX-License-Identifier: Apache-2.0
"""What is changed or removed by hand in a ledger is found by `verify`, which names the first thing that differs."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from agent_outcomes.ledger.audit import seal, verify
from agent_outcomes.ledger.book.accepted import ResourceFacts
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.delivery.rounds import Rounds
from agent_outcomes.ledger.delivery.targets import DeliveryTargets
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.acceptances import END_NS, acceptance_of, case_acceptances, pending, plain_run, random_acceptance

HOUR_NS: Final = 3600 * 10**9
LATER_NS: Final = END_NS + 72 * HOUR_NS


def filled(path: Path, seed: int = 1, runs: int = 60) -> Store:
    """A ledger with runs of every kind, late reports, corrections, retractions, costs, a pause and two seals."""
    store = Store.open(read_location(f"sqlite:///{path}"))
    source = random.Random(seed)
    store.accept([acceptance for _, acceptance in case_acceptances()])
    store.accept([random_acceptance(source, 10**6 + number) for number in range(runs)])
    store.accept([pending(10**7 + number, run_id=f"late-{number}") for number in range(6)])
    store.accept([acceptance_of(plain_run(10**8 + 1), pending(1).outcome, ResourceFacts("desk", None, "prod", ()))])
    paused = plain_run(10**8)
    store.accept([acceptance_of(paused, pending(1).outcome)._replace(paused=True)])
    seal(store, now_ns=END_NS)
    for number in range(4):
        store.report(read_report(run_id=f"late-{number}", success=number % 2 == 0, value="12.5"), now_ns=LATER_NS)
    crm = Reporter("crm", may_correct=True)
    store.report(read_report(crm, run_id="late-1", success=True, value="-3.25", reason="again"), now_ns=LATER_NS)
    store.report(read_report(crm, run_id="late-2", retract=True, reason="by mistake"), now_ns=LATER_NS + 1)
    store.add_cost(read_cost(run_id="late-3", amount=Decimal("50.000000000001"), currency="USD"), now_ns=LATER_NS)
    seal(store, now_ns=LATER_NS)
    store.report(read_report(run_id="late-4", label="won"), now_ns=LATER_NS + HOUR_NS)
    return store


@pytest.mark.parametrize("seed", range(5))
def test_a_ledger_that_nobody_has_touched_is_right(tmp_path: Path, seed: int) -> None:
    store = filled(tmp_path / "outcomes.db", seed)
    told: list[tuple[int, int]] = []
    found = verify(store, progress=lambda done, count: told.append((done, count)))
    assert found.difference is None
    assert found.seals == 2
    assert told[-1] == (found.revisions, found.revisions)
    assert seal(store, now_ns=LATER_NS + HOUR_NS) is not None
    assert seal(store, now_ns=LATER_NS + 2 * HOUR_NS) is None
    assert verify(store).difference is None
    store.close()


def test_a_seal_that_is_not_due_is_not_made(tmp_path: Path) -> None:
    store = filled(tmp_path / "outcomes.db")
    assert seal(store, now_ns=LATER_NS + HOUR_NS - 1, every_s=3600) is None
    assert seal(store, now_ns=LATER_NS + HOUR_NS, every_s=3600) is not None
    store.close()


def test_whoever_delivers_seals_the_ledger_every_hour(tmp_path: Path) -> None:
    store = filled(tmp_path / "outcomes.db", runs=5)
    rounds = Rounds(DeliveryTargets(None, None))
    for _ in range(3):
        rounds._seal_at_s = 0.0
        rounds.run(store)
    found = verify(store)
    assert (found.seals, found.difference) == (3, None)
    assert seal(store) is None
    rounds.leave(store)
    store.close()


LATE: Final = "(SELECT id FROM runs WHERE run_id = 'late-1')"


def replaced(column: str, old: str, new: str) -> str:
    new_text = f"CAST(replace(CAST({column} AS TEXT), '{old}', '{new}') AS BLOB)"
    return f"UPDATE revisions SET {column} = {new_text} WHERE run = {LATE} AND instr(CAST({column} AS TEXT), '{old}')"


TAMPERED: Final = {
    "an amount in the content": (
        replaced("content", "12.5", "12.6"),
        "digest",
    ),
    "an amount in the content of a reversal": (
        replaced("content", "3.25", "3.26"),
        "digest",
    ),
    "content that is none": (f"UPDATE revisions SET content = x'7b7d' WHERE run = {LATE} AND revision = 1", "read"),
    "a digest": (f"UPDATE revisions SET digest = zeroblob(32) WHERE run = {LATE} AND revision = 1", "digest"),
    "a revision in the middle": (f"DELETE FROM revisions WHERE run = {LATE} AND revision = 1", "revision 1 is gone"),
    "the last revision": (f"DELETE FROM revisions WHERE run = {LATE} AND revision = 2", "posted"),
    "the first revision": (f"DELETE FROM revisions WHERE run = {LATE} AND revision = 0", "revision 0 is gone"),
    "all revisions of a run": (f"DELETE FROM revisions WHERE run = {LATE}", "its revisions are gone"),
    "a run": ("DELETE FROM runs WHERE run_id = 'late-1'", "its run is gone"),
    "a run's own key": ("UPDATE runs SET run_id = 'other' WHERE run_id = 'late-1'", "row of its run"),
    "a run's agent": ("UPDATE runs SET agent_name = 'other' WHERE run_id = 'late-1'", "row of its run"),
    "a run's span": ("UPDATE runs SET span_id = zeroblob(8) WHERE run_id = 'late-1'", "content is that of run"),
    "what was posted": (
        replaced("posted", "12.5", "12.4"),
        "its content says",
    ),
    "posted to another row": (
        replaced("posted", "[[[", "[[[9"),
        "a total that is gone",
    ),
    "what was posted, unreadable": (f"UPDATE revisions SET posted = x'00' WHERE run = {LATE}", "cannot be read"),
    "a total's trillionth": ("UPDATE totals SET fraction = fraction + 1 WHERE instrument = 'agent.run.cost'", "posted"),
    "a total's quadrillion": ("UPDATE totals SET quadrillions = 1 WHERE instrument = 'agent.runs'", "posted"),
    "a total": ("DELETE FROM totals WHERE instrument = 'agent.outcome.value'", "gone"),
    "a total's labels": ("UPDATE totals SET labels = replace(labels, 'support', 'other')", "other labels"),
    "a total that nobody posted to": (
        "INSERT INTO totals SELECT max(id) + 1, 1, 'agent.runs', '[]', 0, 7, 0, 1 FROM totals",
        "0 was posted",
    ),
    "a total's owner": (
        "UPDATE totals SET identity = identity + 7 WHERE instrument = 'agent.run.cost'",
        "of which service",
    ),
    "a service's name": ("UPDATE identities SET service_name = 'other' WHERE NOT told", "digest"),
    "an environment": ("UPDATE identities SET environment = 'test'", "digest"),
    "whose totals they are": ("DELETE FROM identities", "of which service"),
    "a run's resource": ("DELETE FROM resources", "of which service"),
    "runs of another service": (
        "UPDATE resources SET identity = 3 - identity WHERE identity IN (1, 2)",
        "another service",
    ),
    "a bucket's count": ('UPDATE durations SET "count" = "count" + 1 WHERE id = 1', "runs of"),
    "a bucket's seconds": ("UPDATE durations SET fraction = fraction + 1 WHERE id = 1", "runs of"),
    "a bucket": ("DELETE FROM durations WHERE id = 1", "gone"),
    "an event": (f"DELETE FROM deliveries WHERE run = {LATE} AND revision = 1", "event is gone"),
    "a pause": ("DELETE FROM pauses", "posted"),
    "a pause's content": ("UPDATE pauses SET content = CAST(content || ' ' AS BLOB)", "digest"),
    "a pending run that is not listed": (
        "DELETE FROM pending_runs WHERE run = (SELECT max(run) FROM pending_runs)",
        "is not listed",
    ),
    "a reported run that is listed": (f"INSERT INTO pending_runs VALUES ({LATE}, 1)", "is listed as pending"),
    "a seal's digest": ("UPDATE seals SET digest = zeroblob(32) WHERE id = 2", "seal 2"),
    "the first seal": ("DELETE FROM seals WHERE id = 1", "seal 1: it does not go on"),
    "a seal's count": ("UPDATE seals SET revisions = revisions + 1 WHERE id = 1", "seal 1"),
    "a seal's range": ("UPDATE seals SET last_revision = last_revision - 1 WHERE id = 1", "seal 1"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "outcomes.db"
    filled(path, runs=5).close()
    return path


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_changed_by_hand_is_found_and_named(tmp_path: Path, template: Path, what: str) -> None:
    path = Path(shutil.copy(template, tmp_path / "outcomes.db"))
    sql, told = TAMPERED[what]
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql).rowcount > 0, "nothing was changed, so that nothing is shown"
    store = Store.open(read_location(f"sqlite:///{path}"))
    found = verify(store).difference
    store.close()
    assert found is not None
    assert told in str(found)


def test_a_run_removed_with_all_traces_but_the_totals_is_found(tmp_path: Path, template: Path) -> None:
    path = Path(shutil.copy(template, tmp_path / "outcomes.db"))
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("revisions", "deliveries", "pending_runs"):
            connection.execute(f"DELETE FROM {table} WHERE run = {LATE}")
        connection.execute("DELETE FROM runs WHERE run_id = 'late-1'")
    store = Store.open(read_location(f"sqlite:///{path}"))
    assert "posted" in str(verify(store).difference)
    store.close()

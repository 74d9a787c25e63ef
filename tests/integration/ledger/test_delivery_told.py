# SPDX-License-Identifier: Apache-2.0
"""What a run's own process has emitted does not leave the ledger; what is reported of the run later does."""

from __future__ import annotations

from agent_outcomes import semconv
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.delivery.deliverer import Deliverer
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.ledger.accepted import acceptance, made_run
from tests.integration.ledger.receiver import Receiver

TOLD = (1, 3, 5)
UNTOLD = (4, 8)


def test_each_revision_reaches_the_receiver_once(ledger_url: str) -> None:
    """Events and counters of the untold runs, and of what was reported on a told one; nothing else."""
    store = Store.open(read_location(ledger_url))
    with Receiver() as receiver:
        deliverer = Deliverer(lambda: store, read_delivery_targets(receiver.environ))
        store.accept([acceptance(number)._replace(told=number in TOLD) for number in (*TOLD, *UNTOLD)])
        assert deliverer.flush(10.0)
        ids = {made_run(number).id for number in UNTOLD}
        assert set(receiver.seen.uids()) == {f"{one}-0" for one in ids}
        assert receiver.seen.total(semconv.AGENT_RUNS.name) == len(UNTOLD)
        reported = made_run(TOLD[0])
        late = read_report(Reporter("ann", may_correct=True), outcome_id=reported.id, label="checked", reason="seen")
        assert store.report(late, now_ns=reported.end_ns + 1).revision == 1
        assert deliverer.flush(10.0)
        assert deliverer.shutdown()
        assert set(receiver.seen.uids()) == {f"{one}-0" for one in ids} | {f"{reported.id}-1"}
        assert receiver.seen.total(semconv.AGENT_RUNS.name) == len(UNTOLD)
        assert receiver.seen.total(semconv.AGENT_OUTCOME_REVERSALS.name) == 1
    store.close()

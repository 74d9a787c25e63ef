# SPDX-License-Identifier: Apache-2.0
"""Many clients of one ledger who retry the same late reports and costs: `python -m tests.ledger_clients URL`.

Each subject is a run whose end, report and two costs arrive in any order from every client, over and over. What must
come of it is one run, one revision and one count of each. The last line printed is what was done and found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections import Counter
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.location import LedgerUnavailable, read_location
from agent_outcomes.ledger.store import Store
from tests.acceptances import pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.ledger.rows import RunHistory

COST: Final = Decimal("0.10")
# Of one subject: its run, its report, a cost with a key, the same amount without one.
REVISIONS: Final = 4
THREADS: Final = 4
TRIES_MAX: Final = 10


class Share(NamedTuple):
    """How many clients there are, how many retries they make together, and which four of them are of this process."""

    clients: int
    retries: int
    process: int


def actions(store: Store, subject: int) -> list[Callable[[], object]]:
    """What every client does about a subject, any number of times."""
    run_id = f"subject-{subject}"
    report = read_report(run_id=run_id, success=subject % 2 == 0, idempotency_key=f"report-{subject}")
    keyed = read_cost(run_id=run_id, amount=COST, currency="USD", idempotency_key=f"cost-{subject}")
    plain = read_cost(run_id=run_id, amount=COST, currency="USD", kind="human")
    return [
        lambda: store.accept([pending(subject, run_id=run_id)]),
        lambda: store.report(report, now_ns=time.time_ns()),
        lambda: store.add_cost(keyed, now_ns=time.time_ns()),
        lambda: store.add_cost(plain, now_ns=time.time_ns()),
    ]


def until_done(action: Callable[[], object]) -> None:
    """Do it, and again where it may succeed later: SQLite's lock goes to whoever happens to ask for it first."""
    for attempt in range(TRIES_MAX):
        try:
            action()
        except (LedgerUnavailable, ReportRefused) as error:
            passes = isinstance(error, LedgerUnavailable) or error.retryable
            if not passes or attempt == TRIES_MAX - 1:
                raise
        else:
            return


def work(url: str, subjects: int, share: Share, seed: int) -> None:
    """One process's clients: each does its share of all the actions, which is no other's, and any of them at random."""
    store = Store.open(read_location(url))
    todo = [action for subject in range(1, subjects + 1) for action in actions(store, subject)]

    def client(number: int) -> None:
        random = Random(f"{seed}/{number}")
        order = todo[number :: share.clients]
        order += random.choices(todo, k=max(0, share.retries // share.clients - len(order)))
        random.shuffle(order)
        for action in order:
            until_done(action)

    numbers = range(share.process * THREADS, share.process * THREADS + THREADS)
    threads = [threading.Thread(target=client, args=(number,)) for number in numbers]
    failed: list[str] = []
    threading.excepthook = lambda args: failed.append(repr(args.exc_value))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    if failed:
        sys.exit("\n".join(failed[:5]))


def judged(url: str, subjects: int) -> Counter[str]:
    """How many subjects have come out right, and what is wrong with the others."""
    store = Store.open(read_location(url))
    found: Counter[str] = Counter()
    for subject in range(1, subjects + 1):
        try:
            found[_judged(store.run(RunReference(run_id=f"subject-{subject}")))] += 1
        except ReportRefused as refused:
            found["lost" if refused.code is RefusalCode.RUN_NOT_FOUND else "counted twice"] += 1
    sums: Counter[str] = Counter()
    for row in store.series().totals:
        sums[row.instrument] += row.amount  # type: ignore[assignment]
    expected = {
        "agent.runs": subjects,
        "agent.outcomes": subjects,
        "agent.run.cost": subjects * (Decimal("0.0125") + 2 * COST),
        "agent.outcome.cost": None,
    }
    for instrument, amount in expected.items():
        if amount is not None and sums[instrument] != amount:
            found[f"{instrument} is {sums[instrument]}, not {amount}"] += 1
    if sums["agent.outcome.reversals"]:
        found["reversals"] += 1
    store.close()
    return found


def _judged(history: RunHistory) -> str:
    changes = Counter(str(row.change) for row in history.revisions)
    right = {"None": 1, "reported": 1, "cost": REVISIONS - 2}
    in_order = [row.revision for row in history.revisions] == list(range(len(history.revisions)))
    return "right" if changes == right and in_order else f"wrong: {dict(changes)}"


def main() -> int:
    """Run the clients, four to a process, and judge; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.ledger_clients", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--retries", type=int, default=10_000, help="of all clients together")
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--process", type=int, help="be one of the processes")
    options = parser.parse_args()
    if options.process is not None:
        share = Share(options.clients, options.retries, options.process)
        work(options.url, options.subjects, share, options.seed)
        return 0
    Store.open(read_location(options.url)).close()
    processes = [
        subprocess.Popen([sys.executable, "-m", "tests.ledger_clients", *sys.argv[1:], "--process", str(number)])
        for number in range(options.clients // THREADS)
    ]
    codes = [process.wait() for process in processes]
    found = judged(options.url, options.subjects)
    print(f"{options.clients} clients, {options.retries} retries: {dict(found)}, exit codes {codes}")
    return int(found != {"right": options.subjects} or any(codes))


if __name__ == "__main__":
    sys.exit(main())

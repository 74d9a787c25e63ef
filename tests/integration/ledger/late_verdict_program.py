# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.integration.ledger.late_verdict_program URL RUN_ID REPORTED_AT_NS`: a report from elsewhere."""

from __future__ import annotations

import sys

from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store


def main(url: str, run_id: str, reported_at_ns: str) -> None:
    report = read_report(run_id=run_id, success=True, label="stayed_closed", reason="no reopening in 3 days")
    print(Store.open(read_location(url), create=False).report(report, now_ns=int(reported_at_ns)).revision)


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys of runs that are recorded by one request: each is one run's, and stands for all that was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.held import encode_answer
from agent_outcomes.ledger.book.refusals import Report, ReportState, key_reused
from agent_outcomes.ledger.ids import run_key
from agent_outcomes.ledger.statements import insertion_of_new

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect

    from agent_outcomes.ledger.book.accepted import Claim
    from agent_outcomes.run.model import Run


class RunClaims:
    """Writes claims within a transaction that somebody else begins and commits."""

    def __init__(self, dialect: Dialect) -> None:
        self._new = insertion_of_new(schema.idempotency_keys, dialect)

    def keep(self, connection: Connection, claim: Claim, run: Run, now_ns: int) -> None:
        """Keep the key for that run, which is there. Raises `ReportRefused` where it stands for something else."""
        runs, keys = schema.runs.c, schema.idempotency_keys.c
        trace_id, span_id = run_key(run)
        row = connection.execute(select(runs.id).where(runs.trace_id == trace_id, runs.span_id == span_id)).scalar()
        answer = encode_answer(Report(ReportState.RECORDED, run.id, 0))
        if self._new.run(connection, [(claim.key, claim.fingerprint, answer, row, now_ns, None)]):
            return
        # Who comes second waits for the first to commit, and then sees what that one has said.
        kept = connection.execute(select(keys.fingerprint).where(keys.key == claim.key)).scalar_one()
        if bytes(kept) != claim.fingerprint:
            raise key_reused()

# SPDX-License-Identifier: Apache-2.0
"""Which run an id in an address means. Pure."""

from __future__ import annotations

from typing import Final

from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.outcome.patterns import Pattern

RUN_ID_PREFIX: Final = "run_id:"
_OUTCOME_ID: Final = Pattern(r"[0-9a-fA-F]{32}-[0-9a-fA-F]{16}")
_TRACE_ID: Final = Pattern(r"[0-9a-fA-F]{32}")


def reference_of(text: str) -> RunReference:
    """The run that is meant: by `run_id:` and the user's own key, else by what the id looks like."""
    given = text.strip()
    if given.startswith(RUN_ID_PREFIX):
        return RunReference(run_id=given.removeprefix(RUN_ID_PREFIX))
    if _OUTCOME_ID.fullmatch(given):
        return RunReference(outcome_id=given.lower())
    if _TRACE_ID.fullmatch(given):
        return RunReference(trace_id=given.lower())
    return RunReference(run_id=given)

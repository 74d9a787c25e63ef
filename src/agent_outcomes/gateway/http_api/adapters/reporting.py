# SPDX-License-Identifier: Apache-2.0
"""What the adapters share: reading a body, and a report that may take the place of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from agent_outcomes.gateway.http_api.reports import read_late_report, report
from agent_outcomes.ledger.book.refusals import invalid
from agent_outcomes.ledger.keys import Right
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.ledger.book.reading import NamedRun
    from agent_outcomes.ledger.book.refusals import Report

AGAIN: Final = "reported again"
"""The reason of a report that takes the place of the one before, where its system asks for none."""
_OUTCOME_ID: Final = Pattern(r"[0-9a-fA-F]{32}-[0-9a-fA-F]{16}")
_TRACE_ID: Final = Pattern(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FIELD: Final = Pattern(r".*\$\.([A-Za-z_.]+)")

_Body = TypeVar("_Body", bound=msgspec.Struct)


def body_as(fields: Mapping[str, Any], body: type[_Body]) -> _Body:
    """The fields as that struct has them; raises `ReportRefused` (INVALID_REPORT) that names the first that is wrong.

    What the struct does not know is left out: these systems' clients send more than we have a place for.
    """
    try:
        return msgspec.convert(fields, body)
    except msgspec.ValidationError as error:
        said = str(error)
        if "missing required field" in said:
            name = said.partition("`")[2].partition("`")[0]
            raise invalid([(name, f"{name} is missing")]) from None
        found = _FIELD.match(said)
        name = found[1] if found else "the body"
        raise invalid([(name, f"{name} is of a type or a word that is not taken here")]) from None


def trace_or_key(identifier: str) -> NamedRun:
    """The run that an id of another system names: by our outcome id, a trace id, or else as the user's own key."""
    if _OUTCOME_ID.fullmatch(identifier):
        return {"outcome_id": identifier}
    if _TRACE_ID.fullmatch(identifier):
        return {"trace_id": identifier.replace("-", "")}
    return {"run_id": identifier}


async def report_or_replace(call: ApiCall, fields: Mapping[str, Any]) -> Report:
    """The answer to a report after which the last one stands, where the key has the right to correct.

    Nothing is lost of the one before: it is a correction, and the history keeps both. Raises `ReportRefused`.
    """
    reasoned = {"reason": AGAIN, **fields} if call.caller.may(Right.CORRECT) else fields
    return await report(call, read_late_report(call.caller, reasoned))

# SPDX-License-Identifier: Apache-2.0
"""Runs that made no spans, recorded by one request: read as `record_run` reads them, with ids that are made up.

The ids follow from the caller's idempotency key, or from all that is said of a run with a `run_id`, so that a repeat is
the same run; without either every request records a run of its own. Under one key only one thing can be said.
"""

from __future__ import annotations

import hashlib
import secrets
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypedDict

from agent_outcomes import semconv
from agent_outcomes.gateway.signals.record_fields import RecordFields, number_of
from agent_outcomes.ledger.book.accepted import Acceptance, Claim
from agent_outcomes.ledger.book.reading import complaints_about
from agent_outcomes.ledger.book.refusals import invalid, not_allowed
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX
from agent_outcomes.outcome.keywords import stated_attributes
from agent_outcomes.record.record import record
from agent_outcomes.run.evidence import ERROR_TYPE_LENGTH_MAX
from agent_outcomes.run.model import AgentSpan, Run
from agent_outcomes.run.normalize import Below, normalize
from agent_outcomes.sdk.resources import facts_of_attributes
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.signals.record_fields import Times
    from agent_outcomes.outcome.keywords import AmountLike
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue


class RunFields(TypedDict, total=False):
    """What can be said of a run that is recorded by one request; `agent` must be.

    Times are RFC 3339 texts or Unix seconds. Without a status the run is taken for a success, or for what `error_type`,
    the class of its error, says.
    """

    agent: str
    agent_id: str
    conversation_id: str
    run_id: str
    job_type: str
    status: str
    error_category: str
    error_type: str
    retryable: bool
    message: str
    success: bool
    type: str
    label: str
    value: AmountLike
    currency: str
    cost: AmountLike
    cost_currency: str
    metadata: Mapping[str, Any] | str
    started: str | float
    ended: str | float
    duration_s: float
    service_name: str
    service_namespace: str
    environment: str
    resource: Mapping[str, str | bool | float]
    idempotency_key: str


RUN_RECORD_FIELDS: Final[Mapping[str, Any]] = RunFields.__annotations__
"""The names of the fields, in the order in which they are documented."""
STATED_FIELDS: Final = (
    "status",
    "success",
    "type",
    "label",
    "value",
    "currency",
    "cost",
    "cost_currency",
    "retryable",
    "message",
    "error_category",
    "job_type",
    "run_id",
    "metadata",
)
"""The fields that are read as the attributes of a span are."""

_AMOUNTS: Final = (("value", "currency", "cost", "cost_currency"), ("cost", "cost_currency", "value", "currency"))
"""Each amount that can be said and the field of its currency, and then the other amount with its own."""

_KEY: Final = "idempotency_key"
_RUN_ID: Final = "run_id"
_BY_KEY: Final = b"agent_outcomes.gateway.run.key/1"
_CLAIM: Final = b"agent_outcomes.gateway.run.claim/1"
_BY_CONTENT: Final = b"agent_outcomes.gateway.run.content/1"
_TRACE_ID_BYTES: Final = 16
_IDS_BYTES: Final = 24


def read_run_record(
    fields: Mapping[str, object], *, now_ns: int, caller: str = "", agents: frozenset[str] | None = None
) -> tuple[Acceptance, Claim | None]:
    """The run that these fields are of, as the ledger takes it, with what is claimed by its idempotency key.

    `caller` has the keys for itself; `agents` are those that it may speak for.
    Raises `ReportRefused`: INVALID_REPORT names each field that cannot be taken, NOT_ALLOWED is of another's agent.
    """
    given = RecordFields(fields, RUN_RECORD_FIELDS)
    agent = given.text("agent")
    if not given.has("agent"):
        given.complain("agent", "agent is missing; it takes the name of the agent that ran")
    key = given.text(_KEY)
    said = _said(fields)
    times, resource = given.times(now_ns), given.resource()
    span = _span(given, agent, times, _ids(said, key, caller, agent))
    run, outcome = normalize(span, Below())
    _judge(given, run, outcome)
    if given.complaints:
        raise invalid(given.complaints)
    if agents is not None and agent not in agents:
        raise not_allowed()
    # As a span it would have lasted no time at all where nobody said how long it took, and names that frameworks make
    # up would be none.
    run.duration_s, run.agent_name = times.duration_s, agent
    claim = None if key is None else Claim(_digest(_CLAIM, (caller, key)).hex(), _digest(_BY_CONTENT, said))
    return Acceptance(run, outcome, record(run, outcome), resource=facts_of_attributes(resource)), claim


def _span(given: RecordFields, agent: str | None, times: Times, ids: tuple[int, int]) -> AgentSpan:
    error_type = given.text("error_type", ERROR_TYPE_LENGTH_MAX)
    marks: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": "invoke_agent",
        semconv.GEN_AI_AGENT_NAME: agent,
        semconv.GEN_AI_AGENT_ID: given.text("agent_id"),
        semconv.GEN_AI_CONVERSATION_ID: given.text("conversation_id"),
        semconv.ERROR_TYPE: error_type,
    }
    stated: Any = given.some(STATED_FIELDS)
    return AgentSpan(
        trace_id=ids[0],
        span_id=ids[1],
        trace_flags=0,
        name=f"invoke_agent {agent or ''}",
        scope=SCOPE_NAME,
        internal=True,
        start_ns=times.start_ns,
        end_ns=times.end_ns,
        status_code="unset" if error_type is None else "error",
        attributes={key: value for key, value in marks.items() if value is not None} | stated_attributes(stated),
    )


def _judge(given: RecordFields, run: Run, outcome: Outcome) -> None:
    """Complain of what a span's reader would only list."""
    given.complaints += complaints_about(outcome.problems)
    _check_currencies(given)
    if given.has("run_id") and run.run_id is None:
        given.complain("run_id", f"run_id takes text of 1 to {LABEL_LENGTH_MAX} characters")
    if given.has("error_category") and not given.has("status") and not given.has("error_type"):
        given.complain("status", "status is missing; with an error_category say how the run ended, as failure")


def _check_currencies(given: RecordFields) -> None:
    """Complain of a currency without its amount beside an amount without its currency, which is not in USD then."""
    for amount, currency, other, its_currency in _AMOUNTS:
        is_doubtful = given.has(amount) and not given.has(currency) and not given.has(other)
        if is_doubtful and given.has(its_currency):
            fix = f"is that of {other}, which is missing; that of {amount} is {currency}"
            given.complain(its_currency, f"{its_currency} {fix}")


def _said(fields: Mapping[str, object]) -> list[tuple[str, str]]:
    """All that is given but the key: numbers by their value, so that 5 is 5.00, and anything else as it is written."""
    given = ((name, value) for name, value in fields.items() if value is not None and name != _KEY)
    numbers = ((name, value, number_of(value)) for name, value in given)
    return sorted((name, repr(value if number is None else Fraction(number))) for name, value, number in numbers)


def _ids(said: list[tuple[str, str]], key: str | None, caller: str, agent: str | None) -> tuple[int, int]:
    """Trace and span id of a run without either."""
    if key is not None:
        digest = _digest(_BY_KEY, (caller, key, agent))
    elif any(name == _RUN_ID for name, _ in said):
        digest = _digest(_BY_CONTENT, said)
    else:
        digest = secrets.token_bytes(_IDS_BYTES)
    # Zero is no id.
    trace_id, span_id = digest[:_TRACE_ID_BYTES], digest[_TRACE_ID_BYTES:_IDS_BYTES]
    return int.from_bytes(trace_id, "big") or 1, int.from_bytes(span_id, "big") or 1


def _digest(what: bytes, said: object) -> bytes:
    return hashlib.sha256(what + repr(said).encode("utf-8", "surrogatepass")).digest()

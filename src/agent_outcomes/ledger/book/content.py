# SPDX-License-Identifier: Apache-2.0
"""The content of a revision as canonical JSON, which is what the ledger stores and digests, and back again, exactly.

ASCII, keys sorted, no blanks; what is absent is left out. Amounts are texts with every digit that they were given,
whole numbers that a double could not hold are hexadecimal, and text that is no valid Unicode is its bytes in hex.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes import semconv
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.semconv import (
    Change,
    CostKind,
    CostSource,
    Instrument,
    OutcomeType,
    ProblemKind,
    Remedy,
    Source,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_outcomes.record.record import LabelValue, PlainPosting

CONTENT_VERSION: Final = 1
_INT_MAX: Final = 2**53
INSTRUMENTS: Final[Mapping[str, Instrument]] = {
    value.name: value for value in vars(semconv).values() if isinstance(value, Instrument)
}
"""Every instrument of the vocabulary by its name, which is what a ledger stores."""
# Nothing in it contains itself, and to look for that costs a fifth of the whole.
_dumps: Final = json.JSONEncoder(check_circular=False, sort_keys=True, separators=(",", ":")).encode


class ContentError(ValueError):
    """Stored bytes that are no content of a revision as this version writes it."""


class Content(NamedTuple):
    """One revision as it is stored: run and outcome as they stand with it, what it changed, who reported it and why.

    `change` is `None` for revision 0, whose `reported_at_ns` is the run's end. `postings` have the labels as they were
    before any limit on them.
    """

    run: Run
    outcome: Outcome
    revision: int
    change: Change | None
    reported_at_ns: int
    reported_by: str | None
    reason: str | None
    postings: tuple[PlainPosting, ...]


def encode_content(content: Content) -> bytes:
    """The content as canonical bytes: equal contents give equal bytes. `Outcome.output` is not part of it."""
    return canonical(
        {
            "v": CONTENT_VERSION,
            "run": _run(content.run),
            "outcome": outcome_fields(content.outcome),
            "revision": content.revision,
            "change": content.change,
            "reported_at_ns": json_int(content.reported_at_ns),
            "reported_by": json_text(content.reported_by),
            "reason": json_text(content.reason),
            "postings": [_posting(posting) for posting in content.postings],
        }
    )


def read_content(content: bytes) -> Content:
    """What these bytes were made of. Raises `ContentError` for what is no content."""
    try:
        fields = json.loads(content)
        version = fields["v"]
        if version == CONTENT_VERSION:
            return _content(fields)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        message = "these bytes are not the content of a revision"
        raise ContentError(message) from error
    message = f"the content of a revision is of version {version!r:.20}; this program reads {CONTENT_VERSION}"
    raise ContentError(message)


def canonical(fields: Mapping[str, object]) -> bytes:
    """JSON of what is not `None`, in the one form."""
    return _dumps({key: value for key, value in fields.items() if value is not None}).encode("ascii")


def field_in_content(name: str, text: str) -> bytes:
    """A field of run or outcome as it stands in every content that has it, and in no other.

    In a text of a content each quotation mark has a backslash before it, so that none can look like a field.
    """
    return canonical({name: json_text(text)})[1:-1]


def json_text(text: str | None) -> object:
    """Text as JSON can carry it: two lone surrogates side by side would come back as one character."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"utf8": text.encode("utf-8", "surrogatepass").hex()}
    return text


def text_of(value: Any) -> Any:
    """The text that `json_text` was given."""
    return bytes.fromhex(value["utf8"]).decode("utf-8", "surrogatepass") if isinstance(value, dict) else value


def json_int(number: int | None) -> object:
    """A whole number as JSON can carry it: readers take numbers for doubles, and long ones may not be read at all."""
    return number if number is None or -_INT_MAX <= number <= _INT_MAX else {"hex": f"{number:x}"}


def int_of(value: Any) -> Any:
    """The number that `json_int` was given."""
    return int(value["hex"], 16) if isinstance(value, dict) else value


def outcome_fields(outcome: Outcome) -> dict[str, object]:
    """An outcome as JSON's types."""
    return _present(
        {
            "status": outcome.status,
            "retryable": outcome.retryable,
            "remedy": outcome.remedy,
            "error_category": json_text(outcome.error_category),
            "error_type": json_text(outcome.error_type),
            "type": outcome.type,
            "business_success": outcome.business_success,
            "label": json_text(outcome.label),
            "value": None if outcome.value is None else str(outcome.value),
            "currency": json_text(outcome.currency),
            "message": json_text(outcome.message),
            "metadata": json_text(outcome.metadata),
            "source": outcome.source,
            "evidence": json_text(outcome.evidence) or None,
            "raw_status": json_text(outcome.raw_status),
            "problems": problem_pairs(outcome.problems) or None,
            "refused": [json_text(text) for text in outcome.refused] or None,
        }
    )


def problem_pairs(problems: tuple[Problem, ...]) -> list[list[object]]:
    """Problems as JSON's types."""
    return [[problem.kind, json_text(problem.attribute)] for problem in problems]


def read_problems(pairs: list[Any]) -> tuple[Problem, ...]:
    """The problems that `problem_pairs` was given."""
    return tuple(Problem(ProblemKind(kind), text_of(attribute)) for kind, attribute in pairs)


def maybe(read: Callable[[Any], Any], value: Any) -> Any:
    """What `read` makes of a value; `None` of none."""
    return None if value is None else read(value)


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value is not None}


def _run(run: Run) -> dict[str, object]:
    usage, cost = run.usage, run.cost
    return _present(
        {
            "trace_id": f"{run.trace_id:032x}",
            "span_id": f"{run.span_id:016x}",
            "trace_flags": run.trace_flags,
            "end_ns": json_int(run.end_ns),
            "agent_name": json_text(run.agent_name),
            "agent_id": json_text(run.agent_id),
            "conversation_id": json_text(run.conversation_id),
            "job_type": json_text(run.job_type),
            "run_id": json_text(run.run_id),
            "duration_s": run.duration_s,
            "caller_id": json_text(run.caller_id),
            "usage": _present({name: json_int(getattr(usage, name)) for name in Usage.__slots__}) or None,
            "cost": [[part.kind, json_text(part.currency), str(part.amount)] for part in cost.parts] or None,
            "cost_source": cost.source,
            "cost_complete": cost.complete,
        }
    )


def _posting(posting: PlainPosting) -> list[object]:
    instrument, labels, amount = posting
    plain = [json_text(label) if isinstance(label, str) else label for label in labels]
    return [instrument.name, plain, str(amount) if isinstance(amount, Decimal) else json_int(amount)]


def _content(fields: Mapping[str, Any]) -> Content:
    return Content(
        run=_read_run(fields["run"]),
        outcome=_read_outcome(fields["outcome"]),
        revision=fields["revision"],
        change=maybe(Change, fields.get("change")),
        reported_at_ns=int_of(fields["reported_at_ns"]),
        reported_by=text_of(fields.get("reported_by")),
        reason=text_of(fields.get("reason")),
        postings=tuple(_read_posting(posting) for posting in fields["postings"]),
    )


def _read_run(fields: Mapping[str, Any]) -> Run:
    usage = fields.get("usage", {})
    parts = (CostPart(CostKind(kind), text_of(code), Decimal(text)) for kind, code, text in fields.get("cost", ()))
    return Run(
        trace_id=int(fields["trace_id"], 16),
        span_id=int(fields["span_id"], 16),
        trace_flags=fields["trace_flags"],
        end_ns=int_of(fields["end_ns"]),
        agent_name=text_of(fields.get("agent_name")),
        agent_id=text_of(fields.get("agent_id")),
        conversation_id=text_of(fields.get("conversation_id")),
        job_type=text_of(fields.get("job_type")),
        run_id=text_of(fields.get("run_id")),
        duration_s=fields.get("duration_s"),
        usage=Usage(**{name: int_of(usage.get(name)) for name in Usage.__slots__}),
        cost=Cost(tuple(parts), maybe(CostSource, fields.get("cost_source")), fields.get("cost_complete")),
        caller_id=text_of(fields.get("caller_id")),
    )


def _read_outcome(fields: Mapping[str, Any]) -> Outcome:
    return Outcome(
        status=Status(fields["status"]),
        retryable=fields.get("retryable"),
        remedy=maybe(Remedy, fields.get("remedy")),
        error_category=text_of(fields.get("error_category")),
        error_type=text_of(fields.get("error_type")),
        type=maybe(OutcomeType, fields.get("type")),
        business_success=fields.get("business_success"),
        label=text_of(fields.get("label")),
        value=maybe(Decimal, fields.get("value")),
        currency=text_of(fields.get("currency", DEFAULT_CURRENCY)),
        message=text_of(fields.get("message")),
        metadata=text_of(fields.get("metadata")),
        source=Source(fields["source"]),
        evidence=text_of(fields.get("evidence", "")),
        raw_status=text_of(fields.get("raw_status")),
        problems=read_problems(fields.get("problems", [])),
        refused=tuple(text_of(text) for text in fields.get("refused", ())),
    )


def _read_posting(posting: tuple[str, list[Any], Any]) -> PlainPosting:
    name, labels, amount = posting
    read: tuple[LabelValue, ...] = tuple(map(text_of, labels))
    return INSTRUMENTS[name], read, Decimal(amount) if isinstance(amount, str) else int_of(amount)

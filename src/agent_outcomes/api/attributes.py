# SPDX-License-Identifier: Apache-2.0
"""Statements and outcomes as canonical span attributes, so that trace backends can search what we were told."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.fields import Fields
from agent_outcomes.outcome import misuse
from agent_outcomes.outcome.amounts import is_exact_double, parse_amount, plain_text
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX, METADATA_LENGTH_MAX, Problem
from agent_outcomes.outcome.keywords import stated_attributes
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.outcome.statement import HANDED_ON, read_statement
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX, asked, encodable, is_a, short_text
from agent_outcomes.run.evidence import STATED
from agent_outcomes.semconv import OutcomeType, Source, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_outcomes.outcome.keywords import Stated
    from agent_outcomes.outcome.statement import Statement

SpanAttribute = str | bool | int | float | tuple[str, ...]

_INT64: Final = 2**63
_TEXTS: Final = frozenset(
    {
        semconv.AGENT_OUTCOME_LABEL,
        semconv.AGENT_OUTCOME_MESSAGE,
        semconv.AGENT_OUTCOME_ERROR_CATEGORY,
        semconv.AGENT_OUTCOME_JOB_TYPE,
        semconv.AGENT_OUTCOME_RUN_ID,
    }
)
# Refused once as short text, refused again; any other key would take the text.
_REFUSED_AGAIN: Final = frozenset(
    {
        semconv.AGENT_OUTCOME_VALUE,
        semconv.AGENT_OUTCOME_CURRENCY,
        semconv.AGENT_OUTCOME_COST,
        semconv.AGENT_OUTCOME_COST_CURRENCY,
        semconv.AGENT_OUTCOME_TYPE,
        semconv.AGENT_OUTCOME_SUCCESS,
        semconv.AGENT_OUTCOME_RETRYABLE,
    }
)
# What an outcome's fields hold, and whether they may be left out; the others are never written.
_FIELDS: Final[Mapping[str, tuple[type, bool]]] = {
    "status": (Status, False),
    "source": (Source, False),
    "evidence": (str, False),
    "retryable": (bool, True),
    "error_category": (str, True),
    "error_type": (str, True),
    "type": (OutcomeType, True),
    "business_success": (bool, True),
    "label": (str, True),
    "value": (Decimal, True),
    "currency": (str, False),
    "message": (str, True),
    "metadata": (str, True),
    "raw_status": (str, True),
    "problems": (tuple, False),
    "refused": (tuple, False),
}


class Given(Fields):
    """What one call has stated, as span attributes: those of a whole outcome, and those of its keywords."""

    __slots__ = ("fields", "whole")

    def __init__(self, whole: Mapping[str, SpanAttribute], fields: Mapping[str, SpanAttribute]) -> None:
        self.whole = whole
        self.fields = fields

    @property
    def attributes(self) -> dict[str, SpanAttribute]:
        """Both; keywords win over the outcome beside them, and what either could not take is listed."""
        both = [key for key in HANDED_ON if key in self.whole and key in self.fields]
        listed = {key: tuple(dict.fromkeys((*_texts(self.whole[key]), *_texts(self.fields[key])))) for key in both}
        return {**self.whole, **self.fields, **listed}


def read_given(call: str, outcome: Outcome | None, stated: Stated) -> Given:
    """What a call of the Python API has stated, read once.

    Raises `TypeError`, before anything is done, for an unknown keyword and for what is no outcome.
    """
    if outcome is not None and not is_a(outcome, Outcome):
        raise misuse.no_outcome(call, outcome)
    whole = attributes_of_outcome(outcome) if outcome is not None else {}
    return Given(whole, attributes_of_stated(stated) if stated else {})


def attributes_of_stated(stated: Stated) -> dict[str, SpanAttribute]:
    """The attributes that keyword arguments stand for, words and amounts in canonical form.

    What cannot be taken is written as it was given, so that the reader of the span refuses and lists it; a problem that
    would not come up again is written itself. A currency is written only if given: a later amount without one is in
    the currency that stands on the span already. Raises `TypeError` for an unknown keyword.
    """
    given = stated_attributes(stated)
    statement = read_statement(given)
    attributes = _attributes_of_statement(statement)
    refused = {problem.attribute for problem in statement.problems}
    for key, value in given.items():
        if key not in attributes or key in refused:
            attributes[key] = _as_given(key, value)
    for key in (semconv.AGENT_OUTCOME_CURRENCY, semconv.AGENT_OUTCOME_COST_CURRENCY):
        if key not in given:
            attributes.pop(key, None)
    if semconv.AGENT_OUTCOME_STATUS in given:
        attributes[semconv.AGENT_OUTCOME_SOURCE] = Source.EXPLICIT.value
        attributes[semconv.AGENT_OUTCOME_EVIDENCE] = STATED
    return {**attributes, **_handed_on(statement.problems, (), attributes)}


def attributes_of_outcome(outcome: Outcome) -> dict[str, SpanAttribute]:
    """The attributes that state this very outcome; `output` is not among them.

    What its factory refused is written as it was given, so that the reader of the span lists it as well; problems that
    would not come up again are written themselves. Raises `TypeError` for an outcome that no factory would have made:
    a field of another type.
    """
    _check_fields(outcome)
    raw_status = _text(outcome.raw_status, LABEL_LENGTH_MAX)
    optional: dict[str, SpanAttribute | None] = {
        semconv.AGENT_OUTCOME_STATUS: (outcome.status is Status.UNKNOWN and raw_status) or outcome.status.value,
        semconv.AGENT_OUTCOME_SOURCE: outcome.source.value,
        semconv.AGENT_OUTCOME_EVIDENCE: _text(outcome.evidence, LABEL_LENGTH_MAX) or STATED,
        semconv.AGENT_OUTCOME_RETRYABLE: outcome.retryable,
        semconv.AGENT_OUTCOME_ERROR_CATEGORY: _text(outcome.error_category, LABEL_LENGTH_MAX),
        semconv.ERROR_TYPE: _text(outcome.error_type, LABEL_LENGTH_MAX),
        semconv.AGENT_OUTCOME_TYPE: outcome.type.value if outcome.type is not None else None,
        semconv.AGENT_OUTCOME_SUCCESS: outcome.business_success,
        semconv.AGENT_OUTCOME_LABEL: _text(outcome.label, LABEL_LENGTH_MAX),
        semconv.AGENT_OUTCOME_VALUE: _own_amount(outcome.value),
        semconv.AGENT_OUTCOME_CURRENCY: _text(outcome.currency, LABEL_LENGTH_MAX)
        if outcome.value is not None
        else None,
        semconv.AGENT_OUTCOME_MESSAGE: _text(outcome.message, MESSAGE_LENGTH_MAX),
        semconv.AGENT_OUTCOME_METADATA: _text(outcome.metadata, METADATA_LENGTH_MAX),
    }
    refused = (encodable(text, LABEL_LENGTH_MAX).partition("=") for text in outcome.refused if is_a(text, str))
    attributes: dict[str, SpanAttribute] = {
        **{key: text for key, _, text in refused if key in _REFUSED_AGAIN},
        **{key: value for key, value in optional.items() if value is not None},
    }
    return {**attributes, **_handed_on(outcome.problems, outcome.refused, attributes)}


def _handed_on(
    problems: tuple[Problem, ...], refused: tuple[str, ...], attributes: Mapping[str, SpanAttribute]
) -> dict[str, SpanAttribute]:
    """What could not be taken, of which these attributes tell nothing: another value is in its place, or none."""
    if not problems and not refused:
        return {}
    again = read_statement(attributes)
    # Of an outcome that no factory has made a problem may be anything.
    texts = [asked(str, one) if is_a(one, Problem) else None for one in problems]
    found = {
        semconv.AGENT_OUTCOME_PROBLEMS: _further(texts, map(str, again.problems)),
        semconv.AGENT_OUTCOME_REFUSED: _further(refused, again.refused),
    }
    return {key: texts for key, texts in found.items() if texts}


def _texts(listed: SpanAttribute) -> tuple[str, ...]:
    return listed if isinstance(listed, tuple) else ()


def _further(texts: Iterable[object], known: Iterable[str]) -> tuple[str, ...]:
    taken = set(known)
    own = (encodable(text, MESSAGE_LENGTH_MAX) for text in texts if is_a(text, str))
    return tuple(text for text in dict.fromkeys(own) if text not in taken)


def _check_fields(outcome: Outcome) -> None:
    """Made without a factory, an outcome may hold anything."""
    for name, (cls, is_optional) in _FIELDS.items():
        value = getattr(outcome, name)
        if not issubclass(type(value), cls) and not (value is None and is_optional):
            raise misuse.wrong_field(name, value, cls.__name__)


def _text(text: str | None, length_max: int) -> str | None:
    """As a factory makes it, or one character longer, so that the reader of the span shortens it and says so."""
    return encodable(text, length_max + 1) if text is not None else None


def _own_amount(amount: Decimal | None) -> float | str | None:
    if amount is None:
        return None
    taken = parse_amount(amount)
    return short_text(amount) if taken is None else _amount(taken)


def _attributes_of_statement(statement: Statement) -> dict[str, SpanAttribute]:
    status = statement.status.status if statement.status is not None else None
    known = status if statement.raw_status is None else None
    optional: dict[str, Any] = {
        semconv.AGENT_OUTCOME_STATUS: known.value if known is not None else None,
        semconv.AGENT_OUTCOME_RETRYABLE: statement.retryable,
        semconv.AGENT_OUTCOME_ERROR_CATEGORY: _category(statement),
        semconv.AGENT_OUTCOME_TYPE: statement.type.value if statement.type is not None else None,
        semconv.AGENT_OUTCOME_SUCCESS: statement.success,
        semconv.AGENT_OUTCOME_LABEL: statement.label,
        semconv.AGENT_OUTCOME_VALUE: _amount(statement.value),
        semconv.AGENT_OUTCOME_CURRENCY: statement.currency if statement.value is not None else None,
        semconv.AGENT_OUTCOME_COST: _amount(statement.cost),
        semconv.AGENT_OUTCOME_COST_CURRENCY: statement.cost_currency if statement.cost is not None else None,
        semconv.AGENT_OUTCOME_MESSAGE: statement.message,
        semconv.AGENT_OUTCOME_JOB_TYPE: statement.job_type,
        semconv.AGENT_OUTCOME_RUN_ID: statement.run_id,
        semconv.AGENT_OUTCOME_METADATA: statement.metadata,
    }
    return {key: value for key, value in optional.items() if value is not None}


def _category(statement: Statement) -> str | None:
    if statement.error_category is not None or statement.status is None:
        return statement.error_category
    # `rejected` becomes failure on the span; its category must not be lost with the word.
    return statement.status.category.value if statement.status.category is not None else None


def _as_given(key: str, value: object) -> SpanAttribute:
    """The value as an attribute that is refused for the same reason; overlong text stays overlong."""
    if isinstance(value, str):
        return encodable(
            value, (METADATA_LENGTH_MAX if key == semconv.AGENT_OUTCOME_METADATA else MESSAGE_LENGTH_MAX) + 1
        )
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and -_INT64 <= int.__int__(value) < _INT64:
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    # Where text is asked for, the text of something else must not pass for it.
    return (short_text(value),) if key in _TEXTS else short_text(value)


def _amount(amount: Decimal | None) -> float | str | None:
    if amount is None:
        return None
    return float(amount) if is_exact_double(amount) else plain_text(amount)

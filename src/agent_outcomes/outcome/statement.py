# SPDX-License-Identifier: Apache-2.0
"""What a user states about an outcome: read from span attributes, or given to the Python API, in one place.

Total: no input raises, nothing is guessed. What cannot be taken is refused, listed in `problems` and, for short
values, kept as text in `refused`. Everything that comes out is bounded and encodes to OTLP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.fields import Fields
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, AttributeReader
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.text import REFUSED_LENGTH_MAX, encodable
from agent_outcomes.semconv import OutcomeType, ProblemKind, Source

if TYPE_CHECKING:
    from decimal import Decimal

    from agent_outcomes.outcome.attribute_reader import Problem, SpanLimits
    from agent_outcomes.outcome.spellings import StatusWord

# `agent.outcomes`, as some metrics are named, is a likely slip.
_PREFIXES: Final = (
    f"{semconv.LABEL_ALIAS}.",
    f"{semconv.AGENT_OUTCOMES.name}.",
    semconv.AGENT_COST_AMOUNT.removesuffix("amount"),
)


class Statement(Fields):
    """The stated fields in typed form; `None` where nothing (usable) was stated.

    `read_statement` fills it, and nothing changes it later. `status` is the meaning of the status word; `raw_status`
    keeps a word that is in no table.
    """

    __slots__ = (
        "cost",
        "cost_currency",
        "currency",
        "error_category",
        "evidence",
        "job_type",
        "label",
        "message",
        "metadata",
        "problems",
        "raw_status",
        "refused",
        "retryable",
        "run_id",
        "source",
        "status",
        "success",
        "type",
        "value",
    )

    def __init__(self) -> None:
        self.status: StatusWord | None = None
        self.raw_status: str | None = None
        self.success: bool | None = None
        self.type: OutcomeType | None = None
        self.label: str | None = None
        self.value: Decimal | None = None
        self.currency: str = DEFAULT_CURRENCY
        self.cost: Decimal | None = None
        self.cost_currency: str = DEFAULT_CURRENCY
        self.retryable: bool | None = None
        self.message: str | None = None
        self.error_category: str | None = None
        self.job_type: str | None = None
        self.run_id: str | None = None
        self.metadata: str | None = None
        self.source: Source | None = None
        self.evidence: str | None = None
        self.problems: tuple[Problem, ...] = ()
        self.refused: tuple[str, ...] = ()

    @property
    def is_reported(self) -> bool:
        """Whether a business result was stated: success, type, label or value."""
        return not (self.success is None and self.type is None and self.label is None and self.value is None)


NOTHING_STATED: Final = Statement()


def read_statement(attributes: Mapping[str, Any], limits: SpanLimits = NO_LIMITS) -> Statement:
    """The statement that a span's attributes make.

    Reads every attribute of the vocabulary's "read from spans" table. Text that the provider may have cut is refused,
    and an amount without a currency where attributes were dropped, as it may be in any. Never raises.
    """
    plan = _plan_of(tuple(attributes))
    if plan is None:
        return NOTHING_STATED
    reader = AttributeReader({key: attributes[key] for key in plan.own}, limits)
    statement = Statement()
    for read in plan.reads:
        read(reader, statement)
    for key in plan.unknown:
        reader.note(ProblemKind.UNKNOWN_ATTRIBUTE, encodable(key, REFUSED_LENGTH_MAX))
    if reader.problems:
        statement.problems = tuple(reader.problems)
        statement.refused = tuple(reader.refused)
    return statement


_Read = Callable[[AttributeReader, Statement], None]


class _Plan(Fields):
    """Which of a span's attributes are about its outcome, how they are read, and which of them nobody knows."""

    __slots__ = ("own", "reads", "unknown")

    def __init__(self, own: tuple[str, ...], reads: tuple[_Read, ...], unknown: tuple[str, ...]) -> None:
        self.own = own
        self.reads = reads
        self.unknown = unknown


@lru_cache(maxsize=512)
def _plan_of(keys: tuple[str, ...]) -> _Plan | None:
    """Remembered, as the same program sets the same attributes on run after run."""
    own = tuple(key for key in keys if key == semconv.LABEL_ALIAS or key.startswith(_PREFIXES))
    if not own:
        return None
    flat = {key for key in own if key.startswith(semconv.METADATA_PREFIX)}
    given = frozenset(own) | ({semconv.AGENT_OUTCOME_METADATA} if flat else set())
    reads = tuple(read for read, read_keys in _READS.items() if not given.isdisjoint(read_keys))
    unknown = tuple(key for key in own if key.startswith(_PREFIXES) and key not in _KNOWN and key not in flat)
    return _Plan(own, reads, unknown)


def _read_type(reader: AttributeReader, statement: Statement) -> None:
    statement.type = reader.outcome_type()


def _read_status(reader: AttributeReader, statement: Statement) -> None:
    statement.status, statement.raw_status = reader.status()
    if statement.type is None and statement.status is not None:
        statement.type = statement.status.type


def _read_value(reader: AttributeReader, statement: Statement) -> None:
    statement.value, statement.currency = reader.money(semconv.AGENT_OUTCOME_VALUE, semconv.AGENT_OUTCOME_CURRENCY)


def _read_cost(reader: AttributeReader, statement: Statement) -> None:
    cost, statement.cost_currency = reader.money(semconv.AGENT_OUTCOME_COST, semconv.AGENT_OUTCOME_COST_CURRENCY)
    if cost is not None and cost < 0:
        reader.refuse(ProblemKind.NEGATIVE_COST, semconv.AGENT_OUTCOME_COST, cost)
        cost = None
    statement.cost = cost


def _read_label(reader: AttributeReader, statement: Statement) -> None:
    statement.label = reader.text(semconv.AGENT_OUTCOME_LABEL)
    if statement.label is None:
        statement.label = reader.text(semconv.LABEL_ALIAS)


def _read_flags(reader: AttributeReader, statement: Statement) -> None:
    statement.success = reader.boolean(semconv.AGENT_OUTCOME_SUCCESS)
    statement.retryable = reader.boolean(semconv.AGENT_OUTCOME_RETRYABLE)


def _read_message(reader: AttributeReader, statement: Statement) -> None:
    statement.message = reader.message()


def _read_category(reader: AttributeReader, statement: Statement) -> None:
    statement.error_category = reader.text(semconv.AGENT_OUTCOME_ERROR_CATEGORY)


def _read_run(reader: AttributeReader, statement: Statement) -> None:
    statement.job_type = reader.text(semconv.AGENT_OUTCOME_JOB_TYPE)
    statement.run_id = reader.text(semconv.AGENT_OUTCOME_RUN_ID, whole=True)


def _read_metadata(reader: AttributeReader, statement: Statement) -> None:
    statement.metadata = reader.metadata()


def _read_source(reader: AttributeReader, statement: Statement) -> None:
    statement.source = reader.source()
    statement.evidence = reader.text(semconv.AGENT_OUTCOME_EVIDENCE)


def _read_handed_on(reader: AttributeReader, _: Statement) -> None:
    reader.take_over()


HANDED_ON: Final = (semconv.AGENT_OUTCOME_PROBLEMS, semconv.AGENT_OUTCOME_REFUSED)
"""What a helper of ours could not take, and what of that does not come up again where its attributes are read."""

# In this order, as a status word may give the type where none is stated; what was handed on comes after what is found.
_READS: Final[Mapping[_Read, tuple[str, ...]]] = {
    _read_type: (semconv.AGENT_OUTCOME_TYPE,),
    _read_status: (semconv.AGENT_OUTCOME_STATUS,),
    _read_value: (semconv.AGENT_OUTCOME_VALUE, semconv.AGENT_OUTCOME_CURRENCY),
    _read_cost: (semconv.AGENT_OUTCOME_COST, semconv.AGENT_OUTCOME_COST_CURRENCY),
    _read_label: (semconv.AGENT_OUTCOME_LABEL, semconv.LABEL_ALIAS),
    _read_flags: (semconv.AGENT_OUTCOME_SUCCESS, semconv.AGENT_OUTCOME_RETRYABLE),
    _read_message: (semconv.AGENT_OUTCOME_MESSAGE,),
    _read_category: (semconv.AGENT_OUTCOME_ERROR_CATEGORY,),
    _read_run: (semconv.AGENT_OUTCOME_JOB_TYPE, semconv.AGENT_OUTCOME_RUN_ID),
    _read_metadata: (semconv.AGENT_OUTCOME_METADATA,),
    _read_source: (semconv.AGENT_OUTCOME_SOURCE, semconv.AGENT_OUTCOME_EVIDENCE),
    _read_handed_on: HANDED_ON,
}

_KNOWN: Final = semconv.COST_ATTRIBUTES.union(
    value for name, value in vars(semconv).items() if name.startswith("AGENT_OUTCOME_") and isinstance(value, str)
)

# SPDX-License-Identifier: Apache-2.0
"""Reports as they are given, in keywords or in JSON, read as the attributes of spans are: same words, same exact money.

What a span's reader would refuse and list is refused here as a whole, as whoever reports can put it right. What it
would only shorten or repair is taken and listed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypedDict

from agent_outcomes import semconv
from agent_outcomes.bounds import REVISION_MAX
from agent_outcomes.ledger.book.held import fingerprint_of
from agent_outcomes.ledger.book.refusals import invalid
from agent_outcomes.ledger.book.reports import ANYBODY, LateCost, LateReport, Reporter, RunReference
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX, METADATA_LENGTH_MAX, AttributeReader, Problem
from agent_outcomes.outcome.keywords import STATED_ATTRIBUTES, stated_attributes
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.statement import read_statement
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX, METADATA_KEYS_MAX, is_a, own_value
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Unpack

    from agent_outcomes.outcome.keywords import AmountLike
    from agent_outcomes.outcome.statement import Statement
    from agent_outcomes.semconv import CostKind, OutcomeType, Status


class NamedRun(TypedDict, total=False):
    """The run that a report is about: exactly one of the first three; `run="latest"` takes the last of several."""

    outcome_id: str | None
    trace_id: str | int | None
    run_id: str | None
    run: str | None


class Reported(NamedRun, total=False):
    """What every report may say of itself."""

    reason: str | None
    reported_by: str | None
    idempotency_key: str | None


class ReportFields(Reported, total=False):
    """The keyword arguments of a report on an outcome."""

    success: bool | str | None
    type: OutcomeType | str | None
    label: str | None
    value: AmountLike | None
    currency: str | None
    message: str | None
    metadata: Mapping[str, Any] | str | None
    status: Status | str | None
    retract: bool
    if_revision: int | None


class CostFields(Reported, total=False):
    """The keyword arguments of a report of a late cost."""

    amount: AmountLike
    currency: str | None
    kind: CostKind | str | None


RESULT_FIELDS: Final = ("success", "type", "label", "value")
_STATED: Final = (*RESULT_FIELDS, "currency", "message", "metadata", "status")
_NOTHING: Final = Decimal(0)
_NAME_LENGTH_MAX: Final = 64
_OUTCOME_ID: Final = Pattern(r"[0-9a-f]{32}-[0-9a-f]{16}")
_TRACE_ID: Final = Pattern(r"[0-9a-f]{32}")
_TRACE_IDS_END: Final = 2**128
_COST_ATTRIBUTES: Final[Mapping[str, str]] = {
    "amount": semconv.AGENT_COST_AMOUNT,
    "currency": semconv.AGENT_COST_CURRENCY,
    "kind": semconv.AGENT_COST_KIND,
}
_FIELD_OF: Final[Mapping[str, str]] = {
    **{attribute: name for name, attribute in STATED_ATTRIBUTES.items()},
    **{attribute: name for name, attribute in _COST_ATTRIBUTES.items()},
}

# Kinds of problems that refuse a report, and what the field takes instead; the others are listed.
_FIXES: Final[Mapping[ProblemKind, str]] = {
    ProblemKind.INVALID_AMOUNT: "takes a decimal number below 1e15 with at most 12 fraction digits",
    ProblemKind.INVALID_CURRENCY: "takes a code of ISO 4217, as USD",
    ProblemKind.INVALID_BOOLEAN: "takes true or false",
    ProblemKind.INVALID_TEXT: "takes text",
    ProblemKind.UNKNOWN_TYPE: "takes converted, escalated, deflected, unsuccessful or custom",
    ProblemKind.UNKNOWN_KIND: "takes llm, tool, human or other",
    ProblemKind.NEGATIVE_COST: "takes a cost that is not negative",
    ProblemKind.INVALID_METADATA: f"takes JSON of up to {METADATA_KEYS_MAX} keys and {METADATA_LENGTH_MAX} characters",
}
# Other texts are shortened; metadata, which would be no JSON then, is lost.
_OVERLONG: Final = Problem(ProblemKind.TEXT_TRUNCATED, semconv.AGENT_OUTCOME_METADATA)


def read_report(reporter: Reporter = ANYBODY, /, **given: Unpack[ReportFields]) -> LateReport:
    """A report on an outcome, read. States at least one of success, type, label, value, or retracts.

    A status is compared with the run's and changes nothing. Raises `ReportRefused` (INVALID_REPORT), which names each
    field that cannot be taken and never what was in it.
    """
    reading = _Reading(given, ReportFields.__annotations__)
    statement = _statement(reading)
    retract = reading.flag("retract")
    stated = [field for field in RESULT_FIELDS if reading.has(field)]
    if retract and stated:
        reading.complain("retract", f"retract takes the result back, so leave out {', '.join(stated)}")
    if not retract and not statement.is_reported and not reading.complaints:
        fix = f"a report states at least one of {', '.join(RESULT_FIELDS)}"
        for field in RESULT_FIELDS:
            reading.complain(field, fix)
    report = LateReport(
        reference=_reference(reading),
        statement=statement,
        retract=retract,
        reason=reading.text("reason", MESSAGE_LENGTH_MAX),
        reporter=_reporter(reading, reporter),
        idempotency_key=reading.text("idempotency_key", LABEL_LENGTH_MAX),
        if_revision=reading.revision("if_revision"),
        fingerprint=b"",
    )
    reading.finish()
    return report._replace(fingerprint=fingerprint_of(report))


def read_cost(reporter: Reporter = ANYBODY, /, **given: Unpack[CostFields]) -> LateCost:
    """A late cost, read; without a currency it is in USD, without a kind it is of kind other.

    Raises `ReportRefused` (INVALID_REPORT), which names each field that cannot be taken and never what was in it.
    """
    reading = _Reading(given, CostFields.__annotations__)
    amount, currency, kind = _cost(reading)
    reference = _reference(reading)
    reason = reading.text("reason", MESSAGE_LENGTH_MAX)
    key = reading.text("idempotency_key", LABEL_LENGTH_MAX)
    who = _reporter(reading, reporter)
    reading.finish()
    cost = LateCost(reference, amount, currency, kind, reason, who, key, b"")
    return cost._replace(fingerprint=fingerprint_of(cost))


def complaints_about(problems: Iterable[Problem]) -> list[tuple[str, str]]:
    """Of problems with what was stated those that refuse it as a whole: each field, and what it takes."""
    complaints = []
    for problem in problems:
        fix = _FIXES.get(ProblemKind.INVALID_METADATA if problem == _OVERLONG else problem.kind)
        if fix is not None:
            field = _FIELD_OF.get(problem.attribute, "metadata")
            complaints.append((field, f"{field} {fix}"))
    return complaints


def read_reference(**given: Unpack[NamedRun]) -> RunReference:
    """The run that is meant, read as in a report. Raises `ReportRefused` (INVALID_REPORT)."""
    reading = _Reading(given, NamedRun.__annotations__)
    reference = _reference(reading)
    reading.finish()
    return reference


class _Reading:
    """The fields of one report, and what is wrong with them."""

    def __init__(self, given: Mapping[str, object], known: Mapping[str, object]) -> None:
        self._given = {name: own_value(value) for name, value in given.items() if value is not None}
        self.complaints: list[tuple[str, str]] = []
        for name in given:
            if name not in known:
                # A name that nobody knows may be anything; it is quoted as far as it looks like one.
                shown = name if len(name) <= _NAME_LENGTH_MAX and name.isidentifier() else "a field"
                self.complain(shown, f"{shown} is unknown; a report takes {', '.join(known)}")

    def complain(self, field: str, text: str) -> None:
        """Note what is wrong with a field, and what it takes."""
        self.complaints.append((field, text))

    def finish(self) -> None:
        """Raise `ReportRefused` if anything is wrong."""
        if self.complaints:
            raise invalid(self.complaints)

    def has(self, name: str) -> bool:
        """Whether the field is given."""
        return name in self._given

    def get(self, name: str) -> object:
        """The value of a field, `None` if it is not given."""
        return self._given.get(name)

    def judge(self, problems: tuple[Problem, ...] | list[Problem]) -> None:
        """Complain of the problems for which a report is refused."""
        self.complaints += complaints_about(problems)

    def text(self, name: str, length_max: int) -> str | None:
        """A text as it is: not empty, of at most so many characters, and valid Unicode."""
        value = self._given.get(name)
        if value is None:
            return None
        if is_a(value, str) and 0 < len(value) <= length_max and _is_unicode(value):
            return value
        self.complain(name, f"{name} takes text of 1 to {length_max} characters")
        return None

    def flag(self, name: str) -> bool:
        """A flag, false if it is not given."""
        value = self._given.get(name, False)
        if isinstance(value, bool):
            return value
        self.complain(name, f"{name} takes true or false")
        return False

    def revision(self, name: str) -> int | None:
        """The number of a revision."""
        value = self._given.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= REVISION_MAX:
            return value
        self.complain(name, f"{name} takes the number of a revision, as 0")
        return None


def _statement(reading: _Reading) -> Statement:
    stated: Any = {name: reading.get(name) for name in _STATED}
    statement = read_statement(stated_attributes(stated))
    reading.judge(statement.problems)
    return statement


def _cost(reading: _Reading) -> tuple[Decimal, str, CostKind]:
    attributes = {attribute: reading.get(name) for name, attribute in _COST_ATTRIBUTES.items()}
    reader = AttributeReader(attributes)
    kind = reader.cost_kind()
    amount, currency = reader.money(semconv.AGENT_COST_AMOUNT, semconv.AGENT_COST_CURRENCY)
    reading.judge(reader.problems)
    if amount is None:
        if not reading.complaints:
            reading.complain("amount", "amount is missing; it takes a decimal number, as 12.50")
        return _NOTHING, currency, kind
    if amount < 0:
        reading.complain("amount", "amount takes a cost that is not negative")
    return amount, currency, kind


def _reference(reading: _Reading) -> RunReference:
    named = [name for name in ("outcome_id", "trace_id", "run_id") if reading.has(name)]
    if len(named) != 1:
        fix = "a report names its run by exactly one of outcome_id, trace_id and run_id"
        for name in named or ("outcome_id", "trace_id", "run_id"):
            reading.complain(name, fix)
        return RunReference()
    latest = _latest(reading)
    read: Mapping[str, Callable[[_Reading], str | None]] = {
        "outcome_id": _outcome_id,
        "trace_id": _trace_id,
        "run_id": _run_id,
    }
    return RunReference(latest=latest, **{named[0]: read[named[0]](reading)})


def _latest(reading: _Reading) -> bool:
    value = reading.get("run")
    if value is None:
        return False
    if not is_a(value, str) or value != "latest":
        reading.complain("run", 'run takes "latest", or is left out')
    return True


def _outcome_id(reading: _Reading) -> str | None:
    value = reading.get("outcome_id")
    text = value.strip().lower() if isinstance(value, str) and len(value) <= LABEL_LENGTH_MAX else ""
    if _OUTCOME_ID.fullmatch(text):
        return text
    reading.complain("outcome_id", "outcome_id takes a trace id and a span id in hex, joined by a dash")
    return None


def _trace_id(reading: _Reading) -> str | None:
    value = reading.get("trace_id")
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _TRACE_IDS_END:
        return f"{value:032x}"
    text = value.strip().lower() if isinstance(value, str) and len(value) <= LABEL_LENGTH_MAX else ""
    if _TRACE_ID.fullmatch(text):
        return text
    reading.complain("trace_id", "trace_id takes 32 hexadecimal digits")
    return None


def _run_id(reading: _Reading) -> str | None:
    # Read as on the span, or the key of a run would not be found.
    reader = AttributeReader({semconv.AGENT_OUTCOME_RUN_ID: reading.get("run_id")})
    text = reader.text(semconv.AGENT_OUTCOME_RUN_ID, whole=True)
    if text is None:
        reading.complain("run_id", f"run_id takes text of 1 to {LABEL_LENGTH_MAX} characters")
    return text


def _reporter(reading: _Reading, reporter: Reporter) -> Reporter:
    """Who reports: as the ledger knows them, or where it does not as they say."""
    stated = reading.text("reported_by", LABEL_LENGTH_MAX)
    if stated is None or stated == reporter.name:
        return reporter
    if reporter.name:
        reading.complain("reported_by", "reported_by is another name than that of the key; leave it out")
        return reporter
    return reporter._replace(name=stated)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

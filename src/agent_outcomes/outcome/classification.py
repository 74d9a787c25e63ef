# SPDX-License-Identifier: Apache-2.0
"""From an error, an exception object or a bare class name, to status, category, retryability and remedy.

The rules are in `errors_table`. They restate what the libraries themselves retry (their `_should_retry`,
`is_retryable`, retry policies), the gRPC status table and HTTP's. What no row names is a failure of unknown
retryability. Nothing here raises, whatever the exception object does when looked at.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent_outcomes.outcome.codes import CODE_RULES, GRPC_RULES, HTTP_RULES
from agent_outcomes.outcome.errors import BAD_REQUEST, ERROR_RULES, OTHER, UPSTREAM, Classification
from agent_outcomes.outcome.text import asked, is_a
from agent_outcomes.semconv import Remedy, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_T = TypeVar("_T")

CAUSE_DEPTH_MAX = 8
ERROR_NAME_LENGTH_MAX = 200
LEAVES_MAX = 128
_BUILTINS = "builtins."
UNNAMED_ERROR = "_OTHER"
_HTTP_CODES = range(400, 600)
_HTTP_SERVER_ERRORS = range(500, 600)

# The only exceptions believed on a span left UNSET: the SDK records every other one by itself. GeneratorExit and
# StopAsyncIteration are in flight at the end of runs that went well (agent transfer, agent as a tool).
INTERRUPTIONS = frozenset(
    {
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "trio.Cancelled",
        "builtins.KeyboardInterrupt",
        "builtins.SystemExit",
    },
)
SILENT = frozenset({"builtins.GeneratorExit", "builtins.StopAsyncIteration", "builtins.StopIteration"})
_SILENT_NAMES = frozenset(name.removeprefix(_BUILTINS) for name in SILENT)


class ErrorFacts(NamedTuple):
    """What is known of an error, from its object or from what a span says.

    `lineages` holds one tuple per exception, itself first and then its causes: its class name and its parents', fully
    qualified where known. The flags and codes are the first found along the causes.
    """

    lineages: tuple[tuple[str, ...], ...] = ()
    retryable: bool | None = None
    http_status: int | None = None
    grpc_code: str | None = None
    vendor_code: str | None = None

    @property
    def name(self) -> str | None:
        """The class of the error itself, Python's own ones without their module, as OpenTelemetry spells them."""
        return self.lineages[0][0].removeprefix(_BUILTINS) if self.lineages else None


def facts_from_exception(error: BaseException) -> ErrorFacts:
    """What an exception object says: class and parents along `__cause__` (never `__context__`), codes, retry flag.

    A group says what its errors say, if they agree or one of them forbids a retry; else it says nothing. Never raises.
    """
    return _facts(list(causes(error)))


def _facts(chain: Sequence[BaseException]) -> ErrorFacts:
    return ErrorFacts(
        lineages=tuple(_lineage(type(one)) for one in chain),
        retryable=_first(_own_retryable(one) for one in chain),
        http_status=_first(_http_status(one) for one in chain),
        grpc_code=_first(_grpc_code(one) for one in chain),
        vendor_code=_first(_vendor_code(one) for one in chain),
    )


def facts_from_name(name: str) -> ErrorFacts:
    """What a class name or code on a span says (`error.type`, `exception.type`): HTTP statuses and gRPC codes too."""
    name = name[:ERROR_NAME_LENGTH_MAX]
    if name.isascii() and name.isdigit() and len(name) == 3:  # noqa: PLR2004 - an HTTP status has three digits
        return ErrorFacts(lineages=((name,),), http_status=int(name))
    if name in GRPC_RULES:
        return ErrorFacts(lineages=((name,),), grpc_code=name)
    return ErrorFacts(lineages=((name,),))


def classify(facts: ErrorFacts) -> Classification:
    """The table's verdict; the error's own retry flag overrides the table's."""
    found = find_rule(facts) or OTHER
    if facts.retryable is None or facts.retryable is found.retryable:
        return found
    remedy = (found.remedy or Remedy.RETRY) if facts.retryable else None
    return found._replace(retryable=facts.retryable, remedy=remedy)


@lru_cache(maxsize=1024)
def find_rule(facts: ErrorFacts) -> Classification | None:
    """The first row that names the error or one of its causes, most specific evidence first; `None` if none does."""
    if facts.vendor_code is not None and facts.vendor_code in CODE_RULES:
        return CODE_RULES[facts.vendor_code]
    for lineage in facts.lineages:
        rule = _find_lineage(lineage)
        if rule is not None:
            return rule
    if facts.http_status is not None:
        return _find_http(facts.http_status)
    return GRPC_RULES.get(facts.grpc_code) if facts.grpc_code else None


def is_interruption(facts: ErrorFacts) -> bool:
    """Whether the error is one of those believed on a span left UNSET."""
    return bool(facts.lineages) and not INTERRUPTIONS.isdisjoint(facts.lineages[0])


def is_silent(facts: ErrorFacts) -> bool:
    """Whether the error, while it passes through, says nothing about how a run went."""
    return bool(facts.lineages) and not (SILENT | _SILENT_NAMES).isdisjoint(facts.lineages[0])


def _find_lineage(lineage: tuple[str, ...]) -> Classification | None:
    for name in lineage:
        if name in _BY_NAME:
            return _BY_NAME[name]
    # A span says `TimeoutError` where the object would say `builtins.TimeoutError`, and packages re-export
    # (`openai._exceptions.RateLimitError`), so where no full name is known the last segment decides if it is
    # unambiguous.
    segments = (_BY_SEGMENT.get(name.rpartition(".")[2]) for name in lineage)
    return _first(segments)


def _find_http(status: int) -> Classification | None:
    if status in HTTP_RULES:
        return HTTP_RULES[status]
    if status in _HTTP_SERVER_ERRORS:
        return UPSTREAM
    return BAD_REQUEST if status in _HTTP_CODES else None


def _index_by_name() -> Mapping[str, Classification]:
    return {name: rule for rule, names in ERROR_RULES for name in names}


def _index_by_segment() -> Mapping[str, Classification]:
    index: dict[str, Classification] = {}
    contradicted: set[str] = set()
    for rule, names in ERROR_RULES:
        for name in names:
            segment = name.rpartition(".")[2]
            kept = index.setdefault(segment, rule)
            if (kept.status, kept.retryable) != (rule.status, rule.retryable):
                contradicted.add(segment)
    return {segment: rule for segment, rule in index.items() if segment not in contradicted}


_EXCEPTIONS_OF: Callable[[BaseException], tuple[BaseException, ...]] = vars(BaseExceptionGroup)["exceptions"].__get__
_BY_NAME = _index_by_name()
_BY_SEGMENT = _index_by_segment()


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, a few levels deep and each once.

    A group was raised from the error in it that decides what the group means, if one does.
    """
    return _along(error, _behind)


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group and in the groups in it, at most `LEAVES_MAX` and one; none if the error is no group."""
    found: list[BaseException] = []
    unseen: list[BaseException] = [error] if is_a(error, BaseExceptionGroup) else []
    while unseen and len(found) <= LEAVES_MAX:
        one = unseen.pop()
        if is_a(one, BaseExceptionGroup):
            # Python's own tuple, whatever a subclass calls so: fixed when the group was made, it holds no circle.
            unseen += _EXCEPTIONS_OF(one)[LEAVES_MAX::-1]
        else:
            found.append(one)
    return found


def _along(error: BaseException, behind: Callable[[BaseException], BaseException | None]) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(seen) < CAUSE_DEPTH_MAX and all(current is not one for one in seen):
        seen.append(current)
        yield current
        current = behind(current)


def _behind(error: BaseException) -> BaseException | None:
    return _deciding(leaves(error)) if is_a(error, BaseExceptionGroup) else _cause(error)


def _cause(error: BaseException) -> BaseException | None:
    cause = look(error, "__cause__")
    return cause if is_a(cause, BaseException) else None


def _deciding(members: list[BaseException]) -> BaseException | None:
    """The error that says what a group means: any if all are classified alike, else one that forbids a retry."""
    if len(members) > LEAVES_MAX:
        return None
    # Along causes alone: a group among the causes of its own errors would be a circle.
    verdicts = [classify(_facts(list(_along(one, _cause)))) for one in members]
    if all(verdict == verdicts[0] for verdict in verdicts):
        return next(iter(members), None)
    forbidding = [one for one, verdict in zip(members, verdicts, strict=True) if _forbids_retry(verdict)]
    return next(iter(forbidding), None)


def _forbids_retry(verdict: Classification) -> bool:
    # Neither a pause nor a cancellation beside a failure is what the group came to.
    return verdict.retryable is False and verdict.status is Status.FAILURE and not verdict.paused


def _lineage(cls: type[BaseException]) -> tuple[str, ...]:
    stop = (object, BaseException, Exception)
    names = tuple(
        f"{one.__module__}.{one.__qualname__}"[:ERROR_NAME_LENGTH_MAX] for one in cls.__mro__ if one not in stop
    )
    return names or (f"builtins.{cls.__qualname__}",)


def _first(values: Iterator[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def look(error: object, *path: str) -> object:
    """What a chain of attributes of a foreign object leads to, `None` if it leads nowhere or raises."""
    current: object = error
    for name in path:
        current = asked(getattr, current, name, None)
    return current


def _own_retryable(error: BaseException) -> bool | None:
    for name, meaning in (("is_retryable", True), ("retryable", True), ("non_retryable", False)):
        flag = look(error, name)
        if is_a(flag, bool):
            return flag is meaning
    return None


def _http_status(error: BaseException) -> int | None:
    for path in (("status_code",), ("status",), ("response", "status_code"), ("response", "status"), ("code",)):
        status = look(error, *path)
        if is_a(status, int) and not is_a(status, bool) and int.__int__(status) in _HTTP_CODES:
            return int.__int__(status)
    return None


def _grpc_code(error: BaseException) -> str | None:
    for attribute in ("code", "grpc_status_code"):
        code = look(error, attribute)
        # Only gRPC's own errors: calling an unknown object's method could do anything.
        if callable(code) and any(name.startswith("grpc.") for name in _lineage(type(error))):
            code = asked(code)
        name = _known(look(code, "name"), GRPC_RULES) if is_a(code, Enum) else None
        if name is not None:
            return name
    return None


def _vendor_code(error: BaseException) -> str | None:
    code = look(error, "code")
    if not is_a(code, str):
        response = look(error, "response")
        # botocore's ClientError carries the service's code in a plain dict.
        details = dict.get(response, "Error") if is_a(response, dict) else None
        code = dict.get(details, "Code") if is_a(details, dict) else None
    return _known(code, CODE_RULES)


def _known(word: object, rules: Mapping[str, Classification]) -> str | None:
    text = str.__str__(word) if is_a(word, str) else None
    return text if text in rules else None

# SPDX-License-Identifier: Apache-2.0
"""From what is known of an error to status, category, retryability and remedy.

The rules are in the tables. They restate what the libraries themselves retry (their `_should_retry`, `is_retryable`,
retry policies), the gRPC status table and HTTP's. What no row names is a failure of unknown retryability.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile, zip_longest
from typing import TYPE_CHECKING, Final, TypeVar

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.class_messages import rule_of_message
from agent_outcomes.outcome.codes import GRPC_RULES
from agent_outcomes.outcome.error_classes import CATCH_ALLS, UNSAID_FLAGS
from agent_outcomes.outcome.error_names import (
    rule_by_ending,
    rule_by_name,
    rule_by_word,
    rule_of_code,
    rule_of_http,
    rule_of_type,
    rule_under_root,
)
from agent_outcomes.outcome.errors import (
    AUTH,
    BUG,
    CONTEXT_OVERFLOW,
    INVALID_OUTPUT,
    NETWORK,
    OTHER,
    QUOTA,
    RATE_LIMIT,
    TRANSIENT,
    UNTRUSTED,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.foreign_classes import VAGUE_CLASSES
from agent_outcomes.semconv import Remedy, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_outcomes.outcome.messages import Told

_T = TypeVar("_T")

ERROR_NAME_LENGTH_MAX: Final = 200
UNNAMED_ERROR: Final = "_OTHER"
BUILTINS: Final = "builtins."
_HTTP_DIGITS: Final = 3
# No flag of a library makes these pass by trying again.
_BEYOND_RETRY: Final = frozenset({AUTH, QUOTA, CONTEXT_OVERFLOW, UNTRUSTED})
# What a wrapper calls a call that failed, whatever it failed of.
_WRAPPED: Final = frozenset({NETWORK, UPSTREAM, TRANSIENT, INVALID_OUTPUT})

# Believed on a span left UNSET although they are an Exception, or may be: all others the SDK records by itself.
INTERRUPTIONS: Final = frozenset(
    {
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "trio.Cancelled",
        "builtins.KeyboardInterrupt",
        "builtins.SystemExit",
    },
)
# In flight at the end of runs that went well: agent transfer, an agent as a tool, a value returned from a generator.
SILENT_CLASSES: Final = frozenset(
    {
        "builtins.GeneratorExit",
        "builtins.StopAsyncIteration",
        "builtins.StopIteration",
        "twisted.internet.defer._DefGen_Return",
    }
)
_SILENT_NAMES: Final = frozenset(name.removeprefix(BUILTINS) for name in SILENT_CLASSES)


class ErrorFacts(NamedTuple):
    """What is known of an error, from its object or from what a span says.

    `lineages` holds one tuple per exception, itself first and then its causes: its class name and its parents', fully
    qualified where known; `statuses` the HTTP status that stands on each. The flags and codes are the first found along
    the causes: `vendor_code` one that says more than class and status, `vendor_type` one that says less than anything
    else, `errno_name` that of the operating system. `told` is what
    a message of a known form says, `leading` the HTTP status that the error's own message begins with, which may be any
    number there unless a model's client has made it; `refined` is what class and message say together, before all else.
    `is_exit` marks what is no `Exception` and ends more than the run, `is_clean_exit` the end of a program that went
    well, `is_abandonment` that of a coroutine which nobody waits for any more.
    """

    lineages: tuple[tuple[str, ...], ...] = ()
    statuses: tuple[int | None, ...] = ()
    retryable: bool | None = None
    http_status: int | None = None
    grpc_code: str | None = None
    vendor_code: str | None = None
    vendor_type: str | None = None
    errno_name: str | None = None
    told: Told | None = None
    leading: int | None = None
    refined: Classification | None = None
    is_exit: bool = False
    is_clean_exit: bool = False
    is_abandonment: bool = False

    @property
    def name(self) -> str | None:
        """The class of the error itself, Python's own ones without their module, as OpenTelemetry spells them."""
        return self.lineages[0][0].removeprefix(BUILTINS) if self.lineages else None


def facts_from_name(name: str) -> ErrorFacts:
    """What a class name or code on a span says (`error.type`, `exception.type`): HTTP statuses and gRPC codes too."""
    name = name[:ERROR_NAME_LENGTH_MAX]
    return ErrorFacts(lineages=((name,),), http_status=http_status_in(name), vendor_type=name)


def http_status_in(text: str) -> int | None:
    """The HTTP status that a text of three digits is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) == _HTTP_DIGITS else None


def classify(facts: ErrorFacts) -> Classification:
    """The table's verdict; the error's own retry flag overrides the table's, but for what no retry can mend."""
    found = find_rule(facts) or OTHER
    if facts.retryable is None or facts.retryable is found.retryable:
        return found
    # A library that says True of none by itself has said so of this one.
    if facts.retryable and found in _BEYOND_RETRY and not (facts.name or "").startswith(UNSAID_FLAGS):
        return found
    remedy = (found.remedy or Remedy.RETRY) if facts.retryable else None
    return found._replace(retryable=facts.retryable, remedy=remedy)


def find_rule(facts: ErrorFacts) -> Classification | None:
    """The first row that names the error or one of its causes, most specific evidence first; `None` if none does."""
    found = find_named(facts)
    return found if found is not None or facts.told is None else facts.told.rule


def find_named(facts: ErrorFacts) -> Classification | None:
    """The same without what a message says, which is the weakest evidence but for a vendor's word of many meanings."""
    found = find_specific(facts)
    if found is not None or facts.vendor_type is None or facts.told is not None:
        return found
    return rule_of_type(facts.vendor_type)


@lru_cache(maxsize=1024)
def find_specific(facts: ErrorFacts) -> Classification | None:
    """The same without a vendor's word for errors of many kinds (`api_error`)."""
    if facts.refined is not None:
        return facts.refined
    if facts.vendor_code is not None:
        return rule_of_code(facts.vendor_code)
    verdicts = [find_lineage(*one) for one in zip_longest(facts.lineages, facts.statuses[: len(facts.lineages)])]
    named = first(verdicts)
    if named is None and facts.errno_name is not None:
        named = rule_of_code(facts.errno_name)
    if named is None and facts.http_status is not None:
        named = rule_of_http(facts.http_status)
    if named is None and facts.grpc_code is not None:
        named = GRPC_RULES.get(facts.grpc_code)
    if named is None:
        named = first(rule_by_ending(name) for lineage in facts.lineages for name in lineage)
    return _permanent_cause(facts, verdicts) or named if named in _WRAPPED else named


def _permanent_cause(facts: ErrorFacts, verdicts: Sequence[Classification | None]) -> Classification | None:
    """What a wrapper that says no more than that a call went wrong was raised from, where that forbids a retry."""
    start = next((number for number, verdict in enumerate(verdicts) if verdict is not None), 0)
    causes = zip_longest(facts.lineages, facts.statuses[: len(facts.lineages)], verdicts)
    for lineage, status, verdict in list(causes)[start + 1 :]:
        rule = verdict or (rule_of_http(status) if status is not None else None)
        # JavaScript's `TypeError: fetch failed` is no bug, nor is a key that the parser of an answer has missed.
        is_vague = lineage[0] in VAGUE_CLASSES or (rule is BUG and verdicts[start] is INVALID_OUTPUT)
        if rule is not None and _forbids_retry(rule) and not is_vague:
            return rule
    return None


def is_interruption(facts: ErrorFacts) -> bool:
    """Whether the error is one of those believed on a span left UNSET."""
    if is_silent(facts):
        return False
    return facts.is_exit or bool(facts.lineages and not INTERRUPTIONS.isdisjoint(facts.lineages[0]))


def is_silent(facts: ErrorFacts) -> bool:
    """Whether the error, while it passes through, says nothing about how a run went."""
    if facts.is_clean_exit:
        return True
    if facts.is_abandonment:
        return False
    return bool(facts.lineages) and not (SILENT_CLASSES | _SILENT_NAMES).isdisjoint(facts.lineages[0])


def find_lineage(lineage: Sequence[str], status: int | None = None) -> Classification | None:
    """The row of a class or of the nearest of its parents, beside the HTTP status that stands on the object."""
    lineage = tuple(takewhile(lambda name: name not in CATCH_ALLS, lineage))
    own = rule_by_name(lineage[0]) if lineage else None
    if own is not None or not lineage:
        return own
    by_status = rule_of_http(status) if status is not None else None
    # A parent says what kind of error it is, as far as the status does not say otherwise.
    kind = first(map(rule_by_name, lineage[1:])) or rule_by_word(lineage[0]) or first(map(rule_under_root, lineage[1:]))
    if kind is None or by_status is None:
        return kind
    # GitHub's and Google's APIs answer 403, too, to who asks too often; what they sent tells their clients which it is.
    if kind is RATE_LIMIT and by_status is AUTH:
        return kind
    return kind if (kind.status, kind.retryable) == (by_status.status, by_status.retryable) else by_status


def message_of_class(chain: Iterable[tuple[Sequence[str], str]]) -> Classification | None:
    """What the message of the first error with a row, itself or one of its causes, says that its class does not."""
    for lineage, text in chain:
        found = first(rule_of_message(name.removeprefix(BUILTINS), text) for name in lineage)
        if found is not None or find_lineage(lineage) not in {None, *_WRAPPED}:
            return found
    return None


def deciding(verdicts: Sequence[Classification]) -> int | None:
    """Which of the errors in a group says what it means: any if all are alike, else the first that forbids a retry."""
    if all(verdict == verdicts[0] for verdict in verdicts):
        return 0 if verdicts else None
    return next((number for number, verdict in enumerate(verdicts) if _forbids_retry(verdict)), None)


def first(values: Iterable[_T | None]) -> _T | None:
    """The first that is something."""
    return next((value for value in values if value is not None), None)


def _forbids_retry(verdict: Classification) -> bool:
    # Neither a pause nor a cancellation beside a failure is what the group came to.
    return verdict.retryable is False and verdict.status is Status.FAILURE and not verdict.paused

# SPDX-License-Identifier: Apache-2.0
"""What an exception object says of itself: classes, codes and flags along its causes.

Nothing here raises, whatever the object does when looked at.
"""

from __future__ import annotations

import errno
from enum import Enum
from inspect import CO_COROUTINE, CO_ITERABLE_COROUTINE
from typing import TYPE_CHECKING, Final

from agent_outcomes.foreign_exceptions import class_module, class_name, classes_of
from agent_outcomes.outcome.bodies import ANSWER_LENGTH_MAX, codes_at, codes_in, found_at, look, read_body
from agent_outcomes.outcome.classification import (
    BUILTINS,
    ERROR_NAME_LENGTH_MAX,
    UNNAMED_ERROR,
    ErrorFacts,
    classify,
    deciding,
    find_rule,
    find_specific,
    first,
    http_status_in,
    message_of_class,
)
from agent_outcomes.outcome.codes import GRPC_RULES
from agent_outcomes.outcome.error_classes import DEFAULT_STATUSES, MODEL_CALL_WRAPPERS, UNSAID_FLAGS
from agent_outcomes.outcome.error_names import HTTP_ERRORS, rule_by_name, rule_of_code, rule_of_type, segment_of
from agent_outcomes.outcome.errors import UNTRUSTED
from agent_outcomes.outcome.foreign_classes import VAGUE_CLASSES
from agent_outcomes.outcome.messages import Told, is_refinable, is_untrusted, leading_status, may_refine, told_by
from agent_outcomes.outcome.name_words import HTTP_CLASS
from agent_outcomes.outcome.store_codes import KAFKA, STORE_PATHS
from agent_outcomes.outcome.text import asked, is_a
from agent_outcomes.outcome.vendor_codes import JSON_RPC_RULES, MCP_MESSAGES, SQLSTATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent_outcomes.outcome.errors import Classification

CAUSE_DEPTH_MAX: Final = 8
LEAVES_MAX: Final = 128
_FRAMES_MAX: Final = 256
_OF_COROUTINES: Final = CO_COROUTINE | CO_ITERABLE_COROUTINE
_DETAILS_MAX: Final = 8
# JSON-RPC leaves the hundred from -32000 to each protocol, such as MCP.
_JSON_RPC_ERRORS: Final = range(-32768, -31999)
_MCP: Final = "mcp."
_LIBRDKAFKA: Final = "cimpl"
_SYSTEM_EXIT: Final = "builtins.SystemExit"
_ROOTS: Final = (object, BaseException, Exception)

_STATUS_PATHS: Final = (
    ("status_code",),
    ("status",),
    ("http_status",),
    ("response", "status_code"),
    ("response", "status"),
    ("code",),
    ("error", "code"),
)
_MAYBE_STATUSES: Final = frozenset({("code",), ("error", "code")})
# Where SDKs keep what the provider calls the error, the more specific one first: OpenAI's `code` and `type`, Google's
# `status` and `reason`, the error objects of Azure and MCP, botocore's response.
_CODE_PATHS: Final = (
    ("code",),
    ("error", "code"),
    ("error_code",),
    ("reason",),
    ("status",),
    ("response", "Error", "Code"),
    ("type",),
    ("error", "type"),
)
# Where drivers of databases keep the code of the SQL standard: psycopg and asyncpg, psycopg2.
_SQLSTATE_PATHS: Final = (("sqlstate",), ("pgcode",))
_ARGS_OF: Final[Callable[[BaseException], tuple[object, ...]]] = vars(BaseException)["args"].__get__
_EXCEPTIONS_OF: Final[Callable[[BaseException], tuple[BaseException, ...]]] = vars(BaseExceptionGroup)[
    "exceptions"
].__get__


def facts_from_exception(error: BaseException) -> ErrorFacts:
    """What an exception object says: class and parents along `__cause__` (never `__context__`), codes, retry flag.

    A group says what its errors say, if they agree or one of them forbids a retry; else it says nothing. A message of a
    known form counts where nothing else does. One that cannot be looked at is an error that no row names. Never raises.
    """
    facts = asked(_facts_along, error)
    return ErrorFacts(lineages=((UNNAMED_ERROR,),), is_exit=_is_exit(error)) if facts is None else facts


def _facts_along(error: BaseException) -> ErrorFacts:
    facts = _facts(list(causes(error)))
    return facts._replace(
        is_exit=_is_exit(error), is_clean_exit=_is_clean_exit(error), is_abandonment=_is_abandonment(error)
    )


def _is_exit(error: BaseException) -> bool:
    return is_a(error, BaseException) and not is_a(error, Exception)


def _is_abandonment(error: BaseException) -> bool:
    """Whether a coroutine was closed where it waited, as one is whose event loop has ended before it.

    That is a `GeneratorExit`, too, as where a generator is closed at a `yield` by whoever has read enough of it; but it
    comes out of a coroutine, which the closing of a generator does not.
    """
    if type(error) is not GeneratorExit:
        return False
    step = error.__traceback__
    for _ in range(_FRAMES_MAX):
        if step is None or step.tb_frame.f_code.co_flags & _OF_COROUTINES:
            return step is not None
        step = step.tb_next
    return False


def _facts(chain: Sequence[BaseException]) -> ErrorFacts:
    codes = [code for one in chain for code in _codes(one)]
    statuses = tuple(_http_status(one) for one in chain)
    facts = ErrorFacts(
        lineages=tuple(_lineage(type(one)) for one in chain),
        statuses=statuses,
        retryable=first(_own_retryable(one) for one in chain),
        http_status=_nearest_status(chain, statuses),
        grpc_code=first(_grpc_code(one) for one in chain),
        vendor_code=next((code for code in codes if rule_of_code(code) is not None), None),
        vendor_type=next((code for code in codes if rule_of_type(code) is not None), None),
        errno_name=first(_errno_name(one) for one in chain),
    )
    beside = message_of_class((lineage, _text(one) or "") for lineage, one in zip(facts.lineages, chain, strict=True))
    if beside is not None:
        return facts._replace(refined=beside)
    named = find_specific(facts)
    if named is None:
        return facts._replace(told=first(_told(one) for one in chain), leading=leading_status(_text(chain[0]) or ""))
    if facts.lineages[0][0] in VAGUE_CLASSES:
        return facts._replace(refined=_refined(chain))
    return facts if facts.refined is not None else _with_text(facts, named, chain)


def _refined(chain: Sequence[BaseException]) -> Classification | None:
    """What stands beside a class that says less: its message, or else its causes."""
    beside = _told(chain[0])
    if beside is not None:
        return beside.rule
    return find_rule(_facts(chain[1:])) if len(chain) > 1 else None


def _with_text(facts: ErrorFacts, named: Classification, chain: Sequence[BaseException]) -> ErrorFacts:
    """The same with a provider's sentence or code that says more than the class of the error does."""
    if is_untrusted(named, map(_told, chain)):
        return facts._replace(refined=UNTRUSTED)
    if not is_refinable(named):
        return facts
    told = first(_told(one) for one in chain)
    if told is not None and told.is_said:
        return facts._replace(refined=told.rule) if may_refine(named, told.rule) else facts
    is_code = told is not None and told.code is not None and rule_of_code(told.code) is not None
    return facts._replace(vendor_code=told.code) if told and is_code and facts.vendor_code is None else facts


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
    # urllib and urllib3 keep what stopped them in `reason`, and raise it from nothing.
    for name in ("__cause__", "reason"):
        cause = look(error, name)
        if is_a(cause, BaseException):
            return cause
    # Whoever raises `Failed(error)`, as requests does, need not say from what.
    args = _ARGS_OF(error)
    return args[0] if len(args) == 1 and is_a(args[0], BaseException) else None


def _deciding(members: list[BaseException]) -> BaseException | None:
    """The error that says what a group means: any if all are classified alike, else one that forbids a retry."""
    if len(members) > LEAVES_MAX:
        return None
    # Along causes alone: a group among the causes of its own errors would be a circle.
    number = deciding([classify(_facts(list(_along(one, _cause)))) for one in members])
    return None if number is None else members[number]


def _lineage(cls: type[BaseException]) -> tuple[str, ...]:
    # By identity: a metaclass may say of a class that it is equal to any other.
    found = [one for one in classes_of(cls) if all(one is not root for root in _ROOTS)]
    return tuple(_full_name(one) for one in found or [cls])


def _full_name(cls: type) -> str:
    module, name = class_module(cls), class_name(cls)
    return f"{module}.{name}"[:ERROR_NAME_LENGTH_MAX] if module else name[:ERROR_NAME_LENGTH_MAX]


def _own_retryable(error: BaseException) -> bool | None:
    """What the error says of trying again; what its library says of all unless told otherwise is no statement."""
    is_unsaid = _lineage(type(error))[0].startswith(UNSAID_FLAGS)
    for name in ("is_retryable", "retryable"):
        flag = look(error, name)
        if is_a(flag, bool) and (flag or not is_unsaid):
            return flag
    return False if look(error, "non_retryable") is True else None


def _nearest_status(chain: Sequence[BaseException], statuses: Sequence[int | None]) -> int | None:
    """The first HTTP status, of what a wrapper of model calls was raised from before its own."""
    own = [segment_of(_lineage(type(one))[0]) not in MODEL_CALL_WRAPPERS for one in chain]
    return first(status for status, is_own in zip(statuses, own, strict=True) if is_own) or first(statuses)


def _http_status(error: BaseException) -> int | None:
    default = first(DEFAULT_STATUSES.get(name) for name in _lineage(type(error)))
    for path in _STATUS_PATHS:
        number = _status_at(error, path)
        if number is not None and (path not in _MAYBE_STATUSES or _is_of_http(error, number)):
            return None if number == default else number
    status = found_at(error, "response", "ResponseMetadata", "HTTPStatusCode")
    return status if type(status) is int and status in HTTP_ERRORS else None


def _status_at(error: BaseException, path: tuple[str, ...]) -> int | None:
    status = found_at(error, *path)
    number = http_status_in(str.__str__(status)) if is_a(status, str) else status
    if is_a(number, int) and not is_a(number, bool) and int.__int__(number) in HTTP_ERRORS:
        return int.__int__(number)
    return None


def _is_of_http(error: BaseException, code: int) -> bool:
    """Whether a number that an error calls its code is HTTP's: databases and brokers have numbers of their own."""
    if any(look(error, name) is not None for name in ("response", "headers")):
        return True
    text = _text(error)
    if text is not None and text.startswith(str(code)):
        return True
    return any(HTTP_CLASS.search(name) is not None for name in _lineage(type(error)))


def _grpc_code(error: BaseException) -> str | None:
    for attribute in ("code", "grpc_status_code"):
        code = look(error, attribute)
        # Only gRPC's own errors: calling an unknown object's method could do anything.
        if callable(code) and any(name.startswith("grpc.") for name in _lineage(type(error))):
            code = asked(code)
        name = look(code, "name") if is_a(code, Enum) else None
        if is_a(name, str) and str.__str__(name) in GRPC_RULES:
            return str.__str__(name)
    return None


def _codes(error: BaseException) -> Iterator[str]:
    """What the provider calls the error, in any of the places where that may stand."""
    yield from codes_at(error, _CODE_PATHS)
    body = look(error, "body")
    yield from codes_in(read_body(str.__str__(body)[:ANSWER_LENGTH_MAX]) if is_a(body, str) else body)
    # Google's discovery client keeps its reasons in a list.
    details = look(error, "error_details")
    if is_a(details, list):
        yield from (code for detail in details[:_DETAILS_MAX] for code in codes_at(detail, (("reason",),)))
    yield from (f"{SQLSTATE} {code}" for code in codes_at(error, _SQLSTATE_PATHS))
    yield from _store_codes(error)
    number = found_at(error, "error", "code")
    if is_a(number, int) and int.__int__(number) in _JSON_RPC_ERRORS:
        text = str(int.__int__(number))
        if text in JSON_RPC_RULES or _is_of_mcp(error, text):
            yield text


def _store_codes(error: BaseException) -> Iterator[str]:
    """What a database or a broker calls the error, where its client keeps that."""
    cls, args = _lineage(type(error))[0], _ARGS_OF(error)
    given = args[0] if args else None
    for of, store, path in STORE_PATHS:
        number = (given if path is None else look(error, path)) if of.match(cls) is not None else None
        if is_a(number, int):
            yield f"{store} {int.__int__(number)}"
    yield from codes_at(error, (("sqlite_errorname",),))
    # librdkafka's error is no exception of Python's, but what one of these was made of.
    if class_module(type(given)) == _LIBRDKAFKA:
        code = asked(name) if callable(name := look(given, "name")) else None
        yield from (f"{KAFKA} {str.__str__(one)}" for one in (code,) if is_a(one, str))


def _is_of_mcp(error: BaseException, number: str) -> bool:
    """Whether a number of a server's own range is what MCP and its SDKs mean by it."""
    form = MCP_MESSAGES.get(number)
    message = first((found_at(error, "error", "message"), _text(error)))
    is_mcps = any(name.startswith(_MCP) for name in _lineage(type(error)))
    return form is not None and is_mcps and is_a(message, str) and form.match(str.__str__(message)) is not None


def _errno_name(error: BaseException) -> str | None:
    number = look(error, "errno") if is_a(error, OSError) else None
    name = errno.errorcode.get(int.__int__(number)) if is_a(number, int) else None
    return name if name is not None and rule_of_code(name) is not None else None


def _told(error: BaseException) -> Told | None:
    text = _text(error)
    return None if text is None else told_by(text, _lineage(type(error))[0].removeprefix(BUILTINS))


def _text(error: BaseException) -> str | None:
    """The text that the exception was made of; what its own `__str__` would do nobody knows.

    gRPC's own errors keep it behind a method, those of websockets in the frame that closed the connection.
    """
    if any(name.startswith("grpc.") for name in _lineage(type(error))):
        details = asked(detail) if callable(detail := look(error, "details")) else detail
        if is_a(details, str):
            return str.__str__(details)
    text = next((one for one in (*_ARGS_OF(error), look(error, "rcvd", "reason")) if is_a(one, str)), None)
    return None if text is None else str.__str__(text)


def _is_clean_exit(error: BaseException) -> bool:
    """Whether it is the end of a program with the exit status of success."""
    if not is_a(error, SystemExit):
        return False
    # A class of its own that the table knows, such as a worker's shutdown, says more than its exit status.
    if next(filter(rule_by_name, _lineage(type(error))), None) != _SYSTEM_EXIT:
        return False
    code = look(error, "code")
    return code is None or (is_a(code, int) and int.__int__(code) == 0)

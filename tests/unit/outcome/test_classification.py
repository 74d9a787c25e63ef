# SPDX-License-Identifier: Apache-2.0
"""The retryability table, row by row, against verdicts written out here, and how an error is looked up in it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http
import json
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.classification import (
    INTERRUPTIONS,
    SILENT_CLASSES,
    ErrorFacts,
    classify,
    facts_from_name,
    find_rule,
    is_interruption,
    is_silent,
)
from agent_outcomes.outcome.codes import (
    CATEGORY_RULES,
    FINISH_REASON_RULES,
    GRPC_NUMBERS,
    GRPC_RULES,
    HTTP_RULES,
    STOP_RULES,
)
from agent_outcomes.outcome.error_classes import MODEL_CALL_WRAPPERS, PARENTS_OF_ALL
from agent_outcomes.outcome.error_names import CLASS_RULES, SAYS_NOTHING, rule_by_word, stems, word_of, words
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.foreign_classes import FOREIGN_RULES
from agent_outcomes.outcome.name_words import EVERYWHERE, SHARED_ROOTS, TOO_COMMON
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.store_codes import STORE_NAMES, STORE_RULES_BY_CODE
from agent_outcomes.outcome.vendor_codes import CODE_RULES, JSON_RPC_RULES, MCP_RULES, NETWORK_RULES, TYPE_RULES
from agent_outcomes.semconv import ErrorCategory
from tests.chained_errors import error_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.outcome.errors import Classification

Verdict = tuple[str, str, bool | None, str | None, bool]
"""Status, category, whether a retry may help, what would help, and whether the run merely pauses."""

_WRITTEN = yaml.safe_load(Path(__file__).with_name("expected_errors.yaml").read_text(encoding="utf-8"))
_STORES = yaml.safe_load(Path(__file__).with_name("expected_store_errors.yaml").read_text(encoding="utf-8"))
VERDICTS: dict[str, Verdict] = {name: tuple(verdict) for name, verdict in _WRITTEN["verdicts"].items()}
OTHER: Verdict = ("failure", "other", None, None, False)


def _expected(table: str) -> dict[str, Verdict]:
    return verdicts_in(_WRITTEN[table])


def verdicts_in(rows: dict[str, str]) -> dict[str, Verdict]:
    return {name: VERDICTS[row] for row, names in rows.items() for name in names.split()}


TIMEOUT, RUN_DEADLINE, CANCELLED, TERMINATED = (
    VERDICTS[name] for name in ("TIMEOUT", "RUN_DEADLINE", "CANCELLED", "TERMINATED")
)
RATE_LIMIT, QUOTA, UPSTREAM, NETWORK, TRANSIENT, AUTH, NOT_FOUND = (
    VERDICTS[name] for name in ("RATE_LIMIT", "QUOTA", "UPSTREAM", "NETWORK", "TRANSIENT", "AUTH", "NOT_FOUND")
)
BAD_REQUEST, CONTEXT_OVERFLOW, INVALID_OUTPUT, TRUNCATED = (
    VERDICTS[name] for name in ("BAD_REQUEST", "CONTEXT_OVERFLOW", "INVALID_OUTPUT", "TRUNCATED")
)
BUDGET, POLICY, AWAITING_HUMAN, TOOL_ERROR, BUG = (
    VERDICTS[name] for name in ("BUDGET", "POLICY", "AWAITING_HUMAN", "TOOL_ERROR", "BUG")
)

EXPECTED_CLASSES = _expected("classes") | verdicts_in(_STORES["classes"])
EXPECTED_FOREIGN = _expected("foreign_classes") | verdicts_in(_STORES["foreign_classes"])
EXPECTED_NAMES = EXPECTED_CLASSES | EXPECTED_FOREIGN
EXPECTED_HTTP = {int(status): verdict for status, verdict in _expected("http").items()}
EXPECTED_GRPC = _expected("grpc")
EXPECTED_CODES = _expected("codes")
EXPECTED_NETWORK = _expected("network_codes")
EXPECTED_STORE_NAMES = verdicts_in(_STORES["names"])
EXPECTED_STORE_CODES = {
    f"{store} {code}": verdict
    for store, rows in _STORES["codes"].items()
    for code, verdict in verdicts_in(rows).items()
}
EXPECTED_TYPES = _expected("types")
EXPECTED_JSON_RPC = _expected("json_rpc_codes")
EXPECTED_MCP = _expected("mcp_codes")
EXPECTED_FINISH: dict[str, Verdict] = {
    "completed": ("success", "", False, "none", False),
    "max_iterations": BUDGET,
    "max_tokens": TRUNCATED,
    "time_budget": RUN_DEADLINE,
    "cancelled": CANCELLED,
    "error": OTHER,
    "guardrail": POLICY,
    "tool_failure": TOOL_ERROR,
}
EXPECTED_STOPS: dict[str, Verdict] = {
    "span.cancelled": CANCELLED,
    "cancelled": CANCELLED,
    "checkpoint": AWAITING_HUMAN,
    "content_filtered": POLICY,
    "guardrail_intervened": POLICY,
    "interrupt": AWAITING_HUMAN,
    "limit_output_tokens": BUDGET,
    "limit_total_tokens": BUDGET,
    "limit_turns": BUDGET,
    "max_tokens": TRUNCATED,
    "aborted": CANCELLED,
    "suspended": AWAITING_HUMAN,
    "tripwire": POLICY,
    "FAILED": OTHER,
    "KILLED": CANCELLED,
    "PAUSED": AWAITING_HUMAN,
    "STUCK": OTHER,
    "TERMINATED": OTHER,
    "WAITING": AWAITING_HUMAN,
}
EXPECTED_CATEGORIES: dict[str, Verdict] = {
    "timeout": TIMEOUT,
    "run_deadline": RUN_DEADLINE,
    "cancelled": CANCELLED,
    "terminated": TERMINATED,
    "rate_limit": RATE_LIMIT,
    "quota": QUOTA,
    "upstream_unavailable": UPSTREAM,
    "network": NETWORK,
    "transient": TRANSIENT,
    "auth": AUTH,
    "not_found": NOT_FOUND,
    "bad_request": BAD_REQUEST,
    "context_overflow": CONTEXT_OVERFLOW,
    "validation": INVALID_OUTPUT,
    "truncated": TRUNCATED,
    "budget_exhausted": BUDGET,
    "policy": POLICY,
    "awaiting_human": AWAITING_HUMAN,
    "tool_error": TOOL_ERROR,
    "bug": BUG,
    "other": OTHER,
}


def verdict_of(rule: Classification | None) -> Verdict | None:
    if rule is None:
        return None
    remedy = rule.remedy.value if rule.remedy is not None else None
    return (rule.status.value, rule.category, rule.retryable, remedy, rule.paused)


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_NAMES.items())
def test_error_row(name: str, verdict: Verdict) -> None:
    """Each class is judged as written here, by its full name on a span."""
    assert verdict_of(classify(facts_from_name(name))) == verdict


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_CLASSES.items())
def test_error_row_as_class(name: str, verdict: Verdict) -> None:
    """Each of Python's classes is judged so as an object's class and as its parent's."""
    cls = error_class(name)
    assert verdict_of(classify(facts_from_exception(cls()))) == verdict
    assert verdict_of(classify(facts_from_exception(error_class("myapp.Own", cls)()))) == verdict


def bare(segment: str) -> list[str]:
    return [
        segment,
        f"com.vendor#{segment}",
        f"{segment}:http://internal.vendor.com/",
        f"<class '{segment}'>",
        segment.upper(),
        segment.lower(),
    ]


def elsewhere(segment: str) -> list[str]:
    return [
        f"somewhere.else.{segment}",
        f"com.vendor.Client${segment}",
        f"vendor::errors::{segment}",
        f"*vendor.{segment}",
        f"<class 'somewhere.{segment}'>",
        f"__main__.f.<locals>.{segment}",
    ]


def segments_of(name: str) -> list[str]:
    return [part for part in re.split(r"[.:$\\\\*]+", name) if part]


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_NAMES.items())
def test_error_row_by_last_segment(name: str, verdict: Verdict) -> None:
    """A span's bare class name, however cased, is as retryable as the full one, unless it names no error by itself."""
    status, _, retryable, *_ = verdict
    segment = segments_of(name)[-1]
    if word_of(segment) in SAYS_NOTHING:
        return
    expected = ("failure", None) if word_of(segment) in TOO_COMMON else (status, retryable)
    for spelling in bare(segment):
        found = classify(facts_from_name(spelling))
        assert (found.status.value, found.retryable) == expected, spelling


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_NAMES.items())
def test_error_row_under_its_own_root(name: str, verdict: Verdict) -> None:
    """Re-exported or moved within its package, a class says the same."""
    *modules, segment = segments_of(name)
    if not modules or word_of(segment) in SAYS_NOTHING:
        return
    root = ".".join(modules[: 2 if modules[0] in SHARED_ROOTS else 1])
    found = rule_by_word(f"{root}._elsewhere.{segment}")
    assert found is None or (found.status.value, found.retryable) == (verdict[0], verdict[2])
    is_ambiguous = root in {"builtins", *SHARED_ROOTS} or word_of(segment) in {
        "timeouterror",
        "authenticationexception",
    }
    assert found is not None or is_ambiguous


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_NAMES.items())
def test_error_row_by_last_segment_elsewhere(name: str, verdict: Verdict) -> None:
    """In another package it says the same where the word means one thing everywhere, else nothing."""
    status, _, retryable, _, paused = verdict
    segment = segments_of(name)[-1]
    says = EVERYWHERE.search(word_of(segment)) is not None and status != "cancelled" and not paused
    for spelling in elsewhere(segment):
        found = rule_by_word(spelling)
        assert says or found is None, spelling
        assert found is None or (found.status.value, found.retryable) == (status, retryable), spelling


RISKY: tuple[str, ...] = (
    *sorted({segments_of(name)[-1] for name in EXPECTED_NAMES}),
    *sorted({*EXPECTED_CODES, *EXPECTED_NETWORK, *EXPECTED_GRPC, *EXPECTED_STOPS}),
    *("Cancel", "Cancelled", "Canceled", "Abort", "Aborted", "abort", "Stop", "Shutdown", "ShutDown", "Killed", "Exit"),
)
MODULES = st.lists(st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True), min_size=1, max_size=4).map(".".join)


@given(MODULES, st.sampled_from(RISKY), st.sampled_from((lambda word: word, str.title, str.upper, str.lower)))
def test_no_class_of_a_user_is_a_cancellation(module: str, word: str, cased: Callable[[str], str]) -> None:
    """Whatever a user calls an error, in whatever module of theirs, it is a failure, and no pause."""
    name = f"shop_{module}.{cased(word)}"
    for facts in (
        facts_from_name(name),
        facts_from_recorded(name, "order 12", f"Traceback (most recent call last):\n  f\n{name}: order 12"),
        facts_from_exception(error_class(name)("order 12")),
        facts_from_exception(error_class("shop.Own", error_class(name))("order 12")),
    ):
        found = classify(facts)
        assert found.status.value in {"failure", "timeout", "invalid_output"}, name
        assert not found.paused


def test_every_error_row_is_expected() -> None:
    """A row added to the tables without a verdict written here fails, and no class has two."""
    for rules, expected in ((CLASS_RULES, EXPECTED_CLASSES), (FOREIGN_RULES, EXPECTED_FOREIGN)):
        names = [name for _, names in rules for name in names]
        assert sorted(names) == sorted(expected)


def test_wrappers_of_model_calls_say_nothing() -> None:
    """A wrapper that stands for every way in which a call fails names no row, whatever it resembles."""
    for wrapper in MODEL_CALL_WRAPPERS - {"ModelAPIError"}:
        assert find_rule(facts_from_name(f"framework.exceptions.{wrapper}")) is None, wrapper
    for name in PARENTS_OF_ALL:
        assert find_rule(facts_from_name(name)) is None
        error = error_class("pydantic_ai.exceptions.ModelHTTPError", error_class(name), status_code=401)()
        assert verdict_of(classify(facts_from_exception(error))) == AUTH


def test_names_that_say_nothing() -> None:
    """No row is reached by the word for an error alone; Go's plainest errors and JavaScript's own name none."""
    assert not SAYS_NOTHING & {*words(), *stems()}
    for name in (
        "Error", "Exception", "builtins.Exception", "java.lang.Exception", "java.lang.RuntimeException",
        "*errors.errorString", "*fmt.wrapError", "*errors.joinError", "AI_APICallError", "RuntimeError", "unknown",
        "UNKNOWN", "System.Exception", "openai.APIError", "anthropic.APIStatusError", "InternalError", "TypeException",
        "Error in agent run", "get_timeout_settings", "lookup_rate_limits", "Name", "Key", "Index", "PermissionError",
        "sqlite3.InternalError", "FileNotFoundError",
    ):  # fmt: skip
        assert find_rule(facts_from_name(name)) is None, name


@pytest.mark.parametrize(("status", "verdict"), EXPECTED_HTTP.items())
def test_http_row(status: int, verdict: Verdict) -> None:
    """Each HTTP status is judged as written here, as an error type and on an exception of no row."""
    assert verdict_of(classify(facts_from_name(str(status)))) == verdict
    error = error_class("myapp.HttpError", status_code=status)()
    assert verdict_of(classify(facts_from_exception(error))) == verdict


@pytest.mark.parametrize(
    ("status", "verdict"), [(501, UPSTREAM), (599, UPSTREAM), (418, BAD_REQUEST), (424, BAD_REQUEST)]
)
def test_http_status_without_row(status: int, verdict: Verdict) -> None:
    """Other server errors are the upstream's, other client errors bad requests."""
    assert verdict_of(classify(facts_from_name(str(status)))) == verdict


@pytest.mark.parametrize("status", ["200", "302", "999", "0429", "42", "\u0664\u0662\u0669", "-429", ""])
def test_no_http_error(status: str) -> None:
    """What is no HTTP error says nothing."""
    assert verdict_of(classify(facts_from_name(status))) == OTHER


@pytest.mark.parametrize(("code", "verdict"), EXPECTED_GRPC.items())
def test_grpc_row(code: str, verdict: Verdict) -> None:
    """Each gRPC code is judged as written here, as an error type and behind the method of gRPC's own errors."""
    assert verdict_of(classify(facts_from_name(code))) == verdict
    member = cast("Any", Enum)("StatusCode", [(code, (1, code))])[code]
    error = error_class("grpc.aio._call.AioRpcError", code=lambda _: member)()
    assert verdict_of(classify(facts_from_exception(error))) == verdict
    plain = error_class("myapp.RpcFailed", grpc_status_code=member)()
    assert verdict_of(classify(facts_from_exception(plain))) == verdict
    for spelling in (f"StatusCode.{code}", f"google.rpc.Code.{code}", code.lower(), code.title().replace("_", "")):
        assert verdict_of(classify(facts_from_name(spelling))) == verdict


def test_grpc_numbers() -> None:
    """Every number but those of OK and UNKNOWN has a name with a row."""
    assert sorted(GRPC_NUMBERS) == [1, *range(3, 17)]
    assert sorted(GRPC_NUMBERS.values()) == sorted(GRPC_RULES)


def holding(code: str, *path: str) -> Any:
    """A value in which a code stands at the end of a path."""
    value: Any = code
    for name in reversed(path):
        value = {name: value}
    return value


@pytest.mark.parametrize(("code", "verdict"), (EXPECTED_CODES | EXPECTED_NETWORK | EXPECTED_STORE_NAMES).items())
def test_vendor_code_row(code: str, verdict: Verdict) -> None:
    """Each vendor's code is judged as written here, says more than class and status, and is an error type, too."""
    for attributes in (
        {"code": code},
        {"type": code},
        {"body": {"type": "error", "error": {"type": code}}},
        {"body": {"error": {"code": code, "type": "invalid_request_error"}}},
        {"body": json.dumps({"type": "error", "error": {"type": code}})},
        {"error": type("ErrorData", (), {"code": code})()},
        {"code": "BadRequest", "body": {"error": {"innererror": {"code": code}}}},
    ):
        error = error_class("openai.ConflictError", **attributes, status_code=429)()
        assert verdict_of(classify(facts_from_exception(error))) == verdict
    client_error = error_class("botocore.exceptions.ClientError", response=holding(code, "Error", "Code"))()
    assert verdict_of(classify(facts_from_exception(client_error))) == verdict
    segment = code.upper().replace("_", "-")
    for spelling in (code, code.lower(), code.upper(), segment, f"com.vendor#{code}", f"{code}:http://vendor.com"):
        assert verdict_of(classify(facts_from_name(spelling))) == verdict, spelling


@pytest.mark.parametrize(("code", "verdict"), EXPECTED_TYPES.items())
def test_vendor_type_row(code: str, verdict: Verdict) -> None:
    """A vendor's general word counts where class and status say nothing, as in a stream that began with 200."""
    in_stream = error_class("anthropic.APIStatusError", status_code=200, body=holding(code, "error", "type"))
    assert verdict_of(classify(facts_from_exception(in_stream()))) == verdict
    denied = error_class("myapp.HttpError", status_code=401, type=code)
    assert verdict_of(classify(facts_from_exception(denied()))) == AUTH
    assert verdict_of(classify(facts_from_name(code))) == verdict


@pytest.mark.parametrize(("code", "verdict"), EXPECTED_JSON_RPC.items())
def test_json_rpc_row(code: str, verdict: Verdict) -> None:
    """A JSON-RPC error is judged by its number, on the exception's error object and as an error type."""
    data = type("ErrorData", (), {"code": int(code)})()
    assert verdict_of(classify(facts_from_exception(error_class("myapp.RpcError", error=data)()))) == verdict
    assert verdict_of(classify(facts_from_name(code))) == verdict


@pytest.mark.parametrize(("code", "verdict"), EXPECTED_MCP.items())
def test_mcp_row(code: str, verdict: Verdict) -> None:
    """What the protocol and its SDKs mean by a number of the servers' range is believed of MCP's own errors alone."""
    said = {"-32000": "Connection closed", "-32001": "Request timed out", "-32002": "Resource a://b not found"}[code]
    data = type("ErrorData", (), {"code": int(code), "message": said})()
    own = type("ErrorData", (), {"code": int(code), "message": "Database is read-only"})()
    refused = error_class("mcp.shared.exceptions.McpError", error=own)("Database is read-only")
    assert verdict_of(classify(facts_from_exception(refused))) == OTHER
    assert (
        verdict_of(classify(facts_from_exception(error_class("mcp.shared.exceptions.McpError", error=data)())))
        == verdict
    )
    assert verdict_of(classify(facts_from_exception(error_class("myapp.RpcError", error=data)()))) == OTHER


def test_http_status_of_an_mcp_error() -> None:
    """MCP 1.x says 408 of its client's own time limit."""
    data = type("ErrorData", (), {"code": 408})()
    error = error_class("mcp.shared.exceptions.McpError", error=data)()
    assert verdict_of(classify(facts_from_exception(error))) == TIMEOUT


@pytest.mark.parametrize("name", [name for name in EXPECTED_NETWORK if hasattr(errno, name)])
def test_errno_row(name: str) -> None:
    """An error of the operating system is judged by its number, whatever its class."""
    error = error_class("myapp.SocketFailure", OSError)(getattr(errno, name), "text")
    found, (_, category, retryable, *_) = classify(facts_from_exception(error)), EXPECTED_NETWORK[name]
    assert (found.category, found.retryable) == (category, retryable)
    assert verdict_of(classify(facts_from_exception(error_class("myapp.Odd", errno=getattr(errno, name))()))) == OTHER


def test_errno_of_another_kind() -> None:
    """A file that is not there is no network error."""
    assert verdict_of(classify(facts_from_exception(OSError(errno.ENOENT, "no such file")))) == OTHER


@given(st.sampled_from(sorted(EXPECTED_CODES)), st.randoms(use_true_random=False), st.sampled_from("._-$#/"))
def test_any_casing_and_qualification_of_a_code(code: str, dice: Any, joint: str) -> None:
    """However a code is cased, and whatever it is qualified with, it is the same code."""
    cased = "".join(dice.choice((letter.lower(), letter.upper())) for letter in code)
    # A vendor's code may have a dot in it (`Throttling.RateQuota`); AWS has classes of its codes.
    spelling = cased if joint in "_-" else f"Vendor{joint}{cased}"
    assert verdict_of(rule_by_word(f"software.amazon.vendor.{cased}")) == EXPECTED_CODES[code]
    assert verdict_of(rule_by_word(spelling)) == EXPECTED_CODES[code]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (HTTP_RULES, EXPECTED_HTTP),
        (GRPC_RULES, EXPECTED_GRPC),
        (CODE_RULES, EXPECTED_CODES),
        (NETWORK_RULES, EXPECTED_NETWORK),
        (STORE_NAMES, EXPECTED_STORE_NAMES),
        (STORE_RULES_BY_CODE, EXPECTED_STORE_CODES),
        (TYPE_RULES, EXPECTED_TYPES),
        (JSON_RPC_RULES, EXPECTED_JSON_RPC),
        (MCP_RULES, EXPECTED_MCP),
        (FINISH_REASON_RULES, EXPECTED_FINISH),
        (STOP_RULES, EXPECTED_STOPS),
        (CATEGORY_RULES, EXPECTED_CATEGORIES),
    ],
    ids=[
        "http",
        "grpc",
        "code",
        "network",
        "store_name",
        "store_code",
        "type",
        "json_rpc",
        "mcp",
        "finish_reason",
        "stop",
        "category",
    ],
)
def test_table_is_as_expected(table: dict[object, Classification], expected: dict[object, Verdict]) -> None:
    """Each of the other tables holds the rows written here and no more."""
    assert {key: verdict_of(rule) for key, rule in table.items()} == expected


def test_every_category_has_a_row() -> None:
    """Every category of the vocabulary says what it means for a retry."""
    assert set(EXPECTED_CATEGORIES) == {category.value for category in ErrorCategory}


def test_own_flag_overrides() -> None:
    """The exception's own flag stands against its row, and a remedy that contradicts it goes."""
    for name in ("is_retryable", "retryable"):
        patient = error_class("openai.RateLimitError", **{name: False})()
        assert verdict_of(classify(facts_from_exception(patient))) == ("failure", "rate_limit", False, None, False)
    eager = error_class("builtins.RuntimeError", is_retryable=True)()
    assert verdict_of(classify(facts_from_exception(eager))) == ("failure", "other", True, "retry", False)
    final = error_class("builtins.TimeoutError", non_retryable=True)()
    assert verdict_of(classify(facts_from_exception(final))) == ("timeout", "timeout", False, None, False)
    method = error_class("myapp.Odd", is_retryable=lambda _: True)()
    assert verdict_of(classify(facts_from_exception(method))) == OTHER


def test_parents_are_looked_up_before_segments() -> None:
    """What a class is counts before what its name resembles."""
    error = error_class("myapp.NotFoundError", ConnectionError)()
    assert verdict_of(classify(facts_from_exception(error))) == NETWORK
    assert verdict_of(classify(facts_from_exception(error_class("myapp.NotFoundError")()))) == NOT_FOUND
    assert verdict_of(classify(facts_from_exception(json.JSONDecodeError("", "", 0)))) == INVALID_OUTPUT


def test_cause_is_followed_and_context_is_not() -> None:
    """The class that matters is that of the cause; what was merely being handled says nothing."""
    wrapper = error_class("myapp.AgentError")()
    wrapper.__context__ = TimeoutError()
    assert verdict_of(classify(facts_from_exception(wrapper))) == OTHER
    wrapper.__cause__ = error_class("myapp.Inner")()
    wrapper.__cause__.__cause__ = TimeoutError()
    assert verdict_of(classify(facts_from_exception(wrapper))) == TIMEOUT
    assert facts_from_exception(wrapper).name == "myapp.AgentError"


def test_circle_of_causes_ends() -> None:
    """Causes that lead back to the error are followed once."""
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert len(facts_from_exception(first).lineages) == 2


def test_chain_of_causes_is_bounded() -> None:
    """Of a long chain the first eight are looked at."""
    error: BaseException = TimeoutError()
    for _ in range(300):
        outer = ValueError()
        outer.__cause__ = error
        error = outer
    facts = facts_from_exception(error)
    assert len(facts.lineages) == 8
    assert verdict_of(classify(facts)) == OTHER


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError(), "ValueError"),
        (Exception(), "Exception"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (json.JSONDecodeError("", "", 0), "json.decoder.JSONDecodeError"),
    ],
)
def test_name(error: BaseException, name: str) -> None:
    """An error is called as OpenTelemetry calls it: Python's own classes without their module."""
    assert facts_from_exception(error).name == name


def test_no_error_has_no_name() -> None:
    """Facts of nothing classify as a failure of unknown kind."""
    assert ErrorFacts().name is None
    assert verdict_of(classify(ErrorFacts())) == OTHER


def test_interruptions_and_silent_errors() -> None:
    """Being told to stop is believed on a span left UNSET; the end of an iteration, or of a program, says nothing."""
    stops = [asyncio.CancelledError(), concurrent.futures.CancelledError(), KeyboardInterrupt(), SystemExit(1)]
    assert all(is_interruption(facts_from_exception(error)) for error in stops)
    assert is_interruption(facts_from_exception(error_class("trio.Cancelled", BaseException)()))
    assert not any(
        is_interruption(facts_from_exception(error)) for error in (ValueError(), TimeoutError(), GeneratorExit())
    )
    quiet = [GeneratorExit(), StopAsyncIteration(), StopIteration(), SystemExit(), SystemExit(0)]
    assert all(is_silent(facts_from_exception(error)) for error in quiet)
    assert not any(is_silent(facts_from_exception(error)) for error in stops)
    assert {
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "trio.Cancelled",
        "builtins.KeyboardInterrupt",
        "builtins.SystemExit",
    } == INTERRUPTIONS
    assert {
        "builtins.GeneratorExit",
        "builtins.StopAsyncIteration",
        "builtins.StopIteration",
        "twisted.internet.defer._DefGen_Return",
    } == SILENT_CLASSES


@pytest.mark.parametrize("code", [1, 2, 130, "usage: agent [-h]", True, -1])
def test_exit_with_another_status(code: object) -> None:
    """A program that ends with any other status was stopped."""
    facts = facts_from_exception(SystemExit(code))
    assert is_interruption(facts)
    assert verdict_of(classify(facts)) == TERMINATED


def test_exits_of_classes_of_their_own() -> None:
    """A subclass ends as its exit status says, unless the table knows it as a worker's shutdown."""
    assert is_silent(facts_from_exception(error_class("myapp.Quit", SystemExit)(0)))
    assert not is_silent(facts_from_exception(error_class("myapp.Quit", SystemExit)(3)))
    assert is_interruption(facts_from_exception(error_class("celery.exceptions.WorkerShutdown", SystemExit)(0)))


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("dramatiq.middleware.time_limit.TimeLimitExceeded", RUN_DEADLINE),
        ("myqueue.TimeLimitExceeded", RUN_DEADLINE),
        ("func_timeout.exceptions.FunctionTimedOut", TIMEOUT),
        ("gevent.timeout.Timeout", TIMEOUT),
        ("greenlet.GreenletExit", CANCELLED),
        ("dramatiq.middleware.shutdown.Shutdown", TERMINATED),
        ("myapp.StopEverything", OTHER),
    ],
)
def test_every_other_base_exception_is_believed(name: str, verdict: Verdict) -> None:
    """What is no `Exception` escapes every handler: a run that it left has not ended well, even if no row knows it."""
    facts = facts_from_exception(error_class(name, BaseException)())
    assert is_interruption(facts)
    assert verdict_of(classify(facts)) == verdict


class LoudInt(int):
    """A number whose comparison raises."""

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    __hash__ = int.__hash__


class LoudText(str):
    """A text that cannot be hashed, compared or shown."""

    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    __str__ = __repr__ = __hash__  # type: ignore[assignment]  # hostile on purpose


class LoudTruth:
    """A value that is neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError


def _raise(_: object) -> None:
    raise RuntimeError


@pytest.mark.parametrize(
    "attributes",
    [
        {"code": property(_raise), "status": property(_raise), "is_retryable": property(_raise)},
        {"code": LoudTruth(), "status_code": LoudTruth(), "retryable": LoudTruth()},
        {"code": LoudText("insufficient_quota")},
        {"status_code": LoudInt(429)},
        {"response": type("Response", (dict,), {"get": _raise})()},
        {"response": property(_raise)},
        {"__cause__": property(_raise)},
        {"__cause__": 5},
        {"__str__": _raise, "__repr__": _raise},
    ],
)
def test_hostile_exception(attributes: dict[str, Any]) -> None:
    """An exception that raises when looked at is judged by whatever it still shows."""
    facts = facts_from_exception(error_class("openai.RateLimitError", **attributes)())
    assert classify(facts).status.value == "failure"
    assert find_rule(facts) is not None


def test_hostile_values_are_still_read() -> None:
    """A number or a text counts for what it holds, whatever its methods do."""
    assert facts_from_exception(error_class("myapp.E", status_code=LoudInt(429))()).http_status == 429
    assert facts_from_exception(error_class("myapp.E", status=http.HTTPStatus.NOT_FOUND)()).http_status == 404
    assert facts_from_exception(error_class("myapp.E", code=LoudText("SlowDown"))()).vendor_code == "SlowDown"


@pytest.mark.parametrize(
    "attributes",
    [{"status_code": True}, {"status_code": "42"}, {"status_code": 200}, {"code": 7}, {"response": {"Error": "x"}}],
)
def test_values_of_no_use(attributes: dict[str, Any]) -> None:
    """What is no error status and no known code says nothing."""
    facts = facts_from_exception(error_class("myapp.E", **attributes)())
    assert (facts.http_status, facts.grpc_code, facts.vendor_code) == (None, None, None)


@pytest.mark.parametrize("path", [("status_code",), ("status",), ("response", "status_code"), ("response", "status")])
def test_where_a_status_is_found(path: tuple[str, ...]) -> None:
    """HTTP clients keep the status in different places."""
    value: Any = 503
    for name in reversed(path[1:]):
        value = type("Response", (), {name: value})()
    error = error_class("myapp.E", **{path[0]: value})()
    assert facts_from_exception(error).http_status == 503
    assert facts_from_exception(error_class("myapp.HttpE", code="503")()).http_status == 503
    response = {"ResponseMetadata": {"HTTPStatusCode": 503}}
    assert facts_from_exception(error_class("botocore.exceptions.ClientError", response=response)()).http_status == 503


@given(st.text(max_size=300))
def test_any_name_is_judged(name: str) -> None:
    """Every name gets a verdict, always the same one, and one name has one length limit."""
    facts = facts_from_name(name)
    assert classify(facts) is classify(facts_from_name(name))
    assert len(facts.lineages[0][0]) <= 200

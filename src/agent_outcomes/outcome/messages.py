# SPDX-License-Identifier: Apache-2.0
"""What an error's message says, where it has the fixed form that a client, a runtime or a framework gives to it.

A form is anchored where the message begins, or ends, and a number or a code in it is looked up in the tables. No word
in the middle of a message says anything: it may be a tool's name, or a customer's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.outcome.bodies import codes_in, read_body
from agent_outcomes.outcome.error_names import rule_by_name, rule_by_word, rule_of_code, rule_of_http
from agent_outcomes.outcome.errors import (
    BUDGET,
    CANCELLED,
    INVALID_OUTPUT,
    NETWORK,
    POLICY,
    TIMEOUT,
    Classification,
)
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIXES_MAX: Final = 4

PHRASES: Final[Mapping[str, int]] = {
    "Bad Request": 400,
    "Unauthorized": 401,
    "Payment Required": 402,
    "Forbidden": 403,
    "Not Found": 404,
    "Request Timeout": 408,
    "Conflict": 409,
    "Payload Too Large": 413,
    "Request Entity Too Large": 413,
    "Content Too Large": 413,
    "Unprocessable Entity": 422,
    "Unprocessable Content": 422,
    "Too Many Requests": 429,
    "Internal Server Error": 500,
    "Bad Gateway": 502,
    "Service Unavailable": 503,
    "Gateway Timeout": 504,
    "Gateway Time-out": 504,
}
"""HTTP's own words for its statuses."""

# What stands before the message of the error itself: the class, what a framework calls the step, a retrier's count.
_PREFIX: Final = Pattern(
    r"""(?:
      (?P<name>[\w.$]+)(?::\s+|\(['"])
    | [\w.$ ]{1,200}:\s+
    | request\ to\ \S+\ failed,\ reason:\s
    | Failed\ after\ \d+\ attempts?(?:\.\ Last\ error:\ |\ with\ non-retryable\ error:\ ')
    | (?:Post|Get|Put|Delete|Patch|Head)\ "[^"]*":\s
    )""",
    re.VERBOSE,
)
# By OpenTelemetry's own convention the text of a failed span begins with the class; a plain word is no class.
_CLASS: Final = Pattern(r"(?:[\w$]+\.)*(?:\w*(?:Error|Exception)|(?:[A-Z][a-z0-9]+){2,})|(?:[\w$]+\.)+[A-Z]\w*")

# Forms with an HTTP status in them, and whose they are.
STATUS_FORMS: Final = tuple(
    Pattern(form)
    for form in (
        # The Python clients generated for the APIs of OpenAI, Anthropic, Groq, Together and others.
        r"Error code: ([45]\d\d)(?: - |$)",
        # The JavaScript, Go and Java ones.
        r"([45]\d\d) status code \(no body\)$",
        r"([45]\d\d) (?=[\s\S]*\n\s+at (?:APIError\.generate|\w+\.makeStatusError) \()",
        r"([45]\d\d) \{\s*['\"]",
        r"(?:POST|GET|PUT|DELETE|PATCH) \"[^\"]*\": ([45]\d\d) ",
        r"([45]\d\d): ",
        # httpx, requests, urllib, axios, Faraday, Spring, .NET, Azure.
        r"(?:Client|Server) error '([45]\d\d) [^']*' for url ",
        r"([45]\d\d) (?:Client|Server) Error: .* for url: ",
        r"HTTP(?: Error|/[\d.]+)?:? ([45]\d\d)(?:$|: | - | \(|,|\.| [A-Z])",
        r"Request failed with status code ([45]\d\d)\b",
        r"the server responded with status ([45]\d\d)\b",
        r"Response status code does not indicate success: ([45]\d\d)\b",
        r"(?:Service request failed\.\s+)?Status: ([45]\d\d) \(",
        rf"([45]\d\d) (?:{'|'.join(PHRASES)})(?![\w-])",
        # Pydantic AI, Cohere, Mistral, Ollama, Google's clients, go-openai, LangChainGo, AWS's SDKs.
        r"(?:headers: \{[\s\S]*\}, )?status_code: ([45]\d\d)(?:, |$)",
        r"API error occurred: Status:? ([45]\d\d)\b",
        r"[\s\S]*\(status code: ([45]\d\d)\)$",
        r"([45]\d\d) [A-Z]+(?:_[A-Z]+)*\. \{",
        r"(?:\[[\w. ]+\]: )?got status: ([45]\d\d)\b",
        r"\[GoogleGenerativeAI Error\]: Error fetching from \S+: \[([45]\d\d) ",
        r"googleapi: Error ([45]\d\d): ",
        r"Error ([45]\d\d), Message: ",
        r"\{\s*\"error\":\s*\{\s*\"code\":\s*([45]\d\d)\b",
        r"error, status code: ([45]\d\d)[,:]",
        r"API returned unexpected status code: ([45]\d\d)\b",
        r"operation error [\w ]+: \w+, [\w ,]*https response error StatusCode: ([45]\d\d), ",
        r"[\s\S]*\(Service: [\w ]+, Status Code: ([45]\d\d), Request ID: [\w-]+",
    )
)

# Forms with a code in them that is looked up as if it stood on the error.
CODE_FORMS: Final = tuple(
    Pattern(form)
    for form in (
        # botocore, gRPC in Go, Python, JavaScript and Java, Genkit.
        r"An error occurred \((\w+)\) when calling the \w+ operation\b",
        r"rpc error: code = (\w+) desc = ",
        r"<\w+ of RPC that terminated with:\s+status = StatusCode\.(\w+)",
        r"\d{1,2} ([A-Z]+(?:_[A-Z]+)*): ",
        r"([A-Z]{6,}|[A-Z]+(?:_[A-Z]+)+): ",
        r"([a-z]+(?:_[a-z]+)+): ",
        # Node.js's system errors; the Claude Agent SDK's result; MCP; LangChain's errors in JavaScript.
        r"(?:connect|read|write|send|getaddrinfo|queryA|queryAaaa) (E[A-Z_]+)\b",
        r"Result error: (\w+)$",
        r"MCP error (-?\d+): ",
        r"[\s\S]*\bTroubleshooting URL: https://\S+/errors/([A-Z_]+)/?(?:\s|$)",
        # Anthropic's error within a stream.
        r"\{\s*['\"]type['\"]:\s*['\"]error['\"],\s*['\"]error['\"]:\s*\{\s*(?:['\"]details['\"]:\s*\w+,\s*)?['\"]type['\"]:\s*['\"](\w+)",
    )
)

# How the C library puts it, and Go in lower case.
_ERRNO_TEXTS: Final = (
    "Connection refused|Connection reset by peer|Connect call failed|Network is unreachable|No route to host"
    "|Broken pipe|Name or service not known|Temporary failure in name resolution|No such host"
)

# Forms that say it all.
TEXT_RULES: Final[tuple[tuple[Pattern, Classification], ...]] = tuple(
    (Pattern(form), rule)
    for form, rule in (
        (r"\d+ validation errors? for \w+", INVALID_OUTPUT),
        (r"Max iterations of \d+ reached!", BUDGET),
        (r"Max turns \(\d+\) exceeded$", BUDGET),
        (r"Recursion limit of \d+ reached without hitting a stop condition", BUDGET),
        (r"Task '[\s\S]*' execution timed out after \d+ seconds\.", TIMEOUT),
        # The OpenAI Agents SDK, under OpenInference and under OpenTelemetry's instrumentation.
        (r"(?:\{'message': ')?Max turns exceeded(?:: |')", BUDGET),
        (r"(?:\{'message': ')?Guardrail tripwire triggered(?:: |')", POLICY),
        # What OpenTelemetry's GenAI instrumentations say of a stream whose consumer left.
        (r"abandoned stream$", CANCELLED),
        # fetch in Node.js, Chrome, Firefox, Safari, React Native; axios; Node's http; the generated clients.
        (r"(?:fetch failed|Failed to fetch|Load failed|Network request failed|Network Error|socket hang up)$", NETWORK),
        (r"NetworkError when attempting to fetch resource\.$", NETWORK),
        (r"(?:Connection error\.?|Connection closed|Server disconnected|All connection attempts failed)$", NETWORK),
        (r"Client network socket disconnected before secure TLS connection was established$", NETWORK),
        (r"Cannot connect to host \S+ ssl:", NETWORK),
        (rf"\[Errno -?\d+\] (?:{_ERRNO_TEXTS})\b", NETWORK),
        (
            r"(?:Th(?:e|is) operation was aborted|The user aborted a request|Request was aborted|Canceled)\.?$",
            CANCELLED,
        ),
        (r"(?:The operation was aborted due to timeout|The operation timed out|Request timed out)\.?$", TIMEOUT),
        (r"timeout of \d+ms exceeded$", TIMEOUT),
        (r"Timed out while waiting for response to \w+\.", TIMEOUT),
        (r"The request was canceled due to the configured HttpClient\.Timeout of [\d.,]+ seconds elapsing\.", TIMEOUT),
        # Go wraps by putting words before: the cause stands last.
        (r"(?:[\s\S]*: )?context deadline exceeded(?: \(Client\.Timeout[^()]*\))?$", TIMEOUT),
        (r"(?:[\s\S]*: )?context canceled$", CANCELLED),
        (r"(?:[\s\S]*: )?(?:dial|read|write) (?:tcp|udp|unix)\d? ?[^ ]*: (?:[\w>:.\[\]-]+ )*i/o timeout$", TIMEOUT),
        (r"(?:[\s\S]*: )?net/http: TLS handshake timeout$", TIMEOUT),
        (rf"(?:[\s\S]*: )?(?:dial|read|write|lookup) \S+.*: (?:{_ERRNO_TEXTS.lower()})$", NETWORK),
    )
)


class Told(NamedTuple):
    """What a message says, and the class, code or HTTP status in it that says so."""

    rule: Classification
    code: str | None


def told_by(text: str) -> Told | None:
    """What a message of a known form says, whatever wrappers have put before it; `None` for any other."""
    bare = [*_without_prefixes(text[:MESSAGE_LENGTH_MAX])]
    for part, _ in bare:
        found = _by_form(part)
        if found is not None:
            return found
    for _, name in bare:
        named = rule_by_name(name) or rule_by_word(name) if name is not None and _CLASS.fullmatch(name) else None
        if named is not None:
            return Told(named, name)
    return None


def _without_prefixes(text: str) -> Iterator[tuple[str, str | None]]:
    """The text, and what is left of it without each prefix in turn, each with the name in the prefix that follows."""
    for _ in range(_PREFIXES_MAX):
        prefix = _PREFIX.match(text)
        yield text, prefix["name"] if prefix is not None else None
        if prefix is None:
            return
        text = text[prefix.end() :]
    yield text, None


def _by_form(text: str) -> Told | None:
    for form, meaning in TEXT_RULES:
        if form.match(text) is not None:
            return Told(meaning, None)
    for form in STATUS_FORMS:
        found = form.match(text)
        if found is not None:
            return _by_status(found[1], text)
    for form in CODE_FORMS:
        found = form.match(text)
        rule = _rule_in_text(found[1]) if found is not None else None
        if found is not None and rule is not None:
            return Told(rule, found[1])
    return _by_status(str(PHRASES[text]), text) if text in PHRASES else None


def _by_status(status: str, text: str) -> Told | None:
    """What a status says, or what a code in the body behind it says beyond that."""
    rule = rule_of_http(int(status))
    for code in codes_in(read_body(text)):
        stronger = rule_of_code(code)
        if stronger is not None and stronger is not rule:
            return Told(stronger, code)
    return Told(rule, status) if rule is not None else None


def _rule_in_text(code: str) -> Classification | None:
    # In lower case only what no sentence begins with: codes of providers.
    return rule_of_code(code) if code.islower() else rule_of_code(code) or rule_by_name(code) or rule_by_word(code)

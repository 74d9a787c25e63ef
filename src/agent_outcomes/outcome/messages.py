# SPDX-License-Identifier: Apache-2.0
"""What an error's message says, where it has the fixed form that a client, a runtime or a framework gives to it.

A form is anchored where the message begins, or ends, and a number or a code in it is looked up in the tables. No word
in the middle of a message says anything: it may be a tool's name, or a customer's. The forms are in `message_forms`,
the providers' own sentences in `provider_texts`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.bodies import codes_in, found_at, read_body
from agent_outcomes.outcome.codes import HTTP_RULES
from agent_outcomes.outcome.error_names import (
    HTTP_ERRORS,
    rule_by_name,
    rule_by_word,
    rule_of_code,
    rule_of_http,
    rule_of_type,
)
from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    BUG,
    CONTEXT_OVERFLOW,
    NETWORK,
    NOT_FOUND,
    OTHER,
    QUOTA,
    RATE_LIMIT,
    UNTRUSTED,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.message_forms import CODE_FORMS, PHRASES, STATUS_FORMS, TEXT_RULES, VAGUE_TEXTS
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.provider_texts import SENTENCES
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX, is_a

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PREFIXES_MAX: Final = 4
_NESTED_MAX: Final = 2

# What stands before the message of the error itself: the class, what a framework calls the step, a retrier's count.
_PREFIX: Final = Pattern(
    r"""(?:
      (?P<name>[\w.$]+)(?::\s+|\(['"])
    | [\w.$ ]{1,200}:\s+
    | \(['"](?:<class\ '[\w.]{1,200}'>\ )?[\w ,.]{1,200}['"],[ ]
    | API\ Error\ \((?=[A-Z1-9])
    | \[[\w.\ ]{1,60}\]:\s
    | Error\ fetching\ from\ \S+:\s
    | \w+Exception\ -[ ]
    | Unable\ to\ execute\ HTTP\ request:\s
    | I/O\ error\ on\ [A-Z]+\ request\ for\ "[^"]*":\s
    | request\ to\ \S+\ failed,\ reason:\s
    | Failed\ after\ \d+\ attempts?(?:\.\ Last\ error:\ |\ with\ non-retryable\ error:\ ')
    | (?:Post|Get|Put|Delete|Patch|Head)\ "[^"]*":\s
    )""",
    re.VERBOSE,
)
# By OpenTelemetry's own convention the text of a failed span begins with the class; a plain word is no class.
_CLASS: Final = Pattern(r"(?:[\w$]+\.)*(?:\w*(?:Error|Exception)|(?:[A-Z][a-z0-9]+){2,})|(?:[\w$]+\.)+[A-Z]\w*")
_ERROR: Final = Pattern(r"(?:Error|Exception)$")
# How JavaScript shows an error with its stack, and what LangChain puts before that.
_FRAMES: Final = Pattern(r"\n[ \t]+at (?:async |new )?[\w.<>\[\]$@/:#]+")
_SHOWN: Final = Pattern(r"(?:Uncaught )?(?P<name>[\w$]+)(?:: |\n|$)")
# Between the form of a message and the provider's own sentence, and what names a code there.
_BETWEEN: Final = " \t\r\n:·-\N{EN DASH}\N{EM DASH}.,;"
_CODES_BEHIND: Final = tuple(
    Pattern(form)
    for form in (
        # OpenAI's client in .NET, Azure's, Go's of AWS.
        r"\(?(?P<one>\w*)(?:: (?P<other>\w*))?\)",
        r"[\s\S]*?\bErrorCode: (?P<one>\w+)",
        r"RequestID: [\w-]*, (?P<one>\w+): ",
    )
)
_SENTENCE_BEHIND: Final = tuple(
    Pattern(form)
    for form in (
        r"",
        r"RequestID: [\w-]*, \w+: ",
        r"[^\n]{0,1000}?\b[Mm]essage: ",
        r"\([^)]{0,100}\): ",
        r"[\s\S]{0,1000}?\n\r?\n",
    )
)
_STATUS: Final = Pattern(r"[45]\d\d")
_NUMBER: Final = Pattern(r"([45]\d\d)(?=[\s:,.-]|$)")
_LEADING: Final = Pattern(r"['\"]|[45]\d\d (?=[A-Z])")
_NUMBERS: Final = (("error", "code"), ("error", "status"), ("status",), ("status_code",), ("statusCode",), ("code",))
_MESSAGES: Final = (("error", "message"), ("message",), ("error",), ("detail",), ("error", "metadata", "raw"))
_SENTENCES: Final = tuple((Pattern(f"(?:{'|'.join(forms)})"), rule) for rule, forms in SENTENCES)
# What a class, an HTTP status or a code says of very different reasons, which a sentence beside it may tell apart.
_REFINABLE: Final = frozenset({AUTH, BAD_REQUEST, NOT_FOUND, OTHER, QUOTA, RATE_LIMIT, UPSTREAM})


class Told(NamedTuple):
    """What a message says, and the class, code or HTTP status in it that says so.

    `is_said` marks a provider's own sentence, which says more than a class, a code or a status beside it, `is_vague` a
    text that says where something went wrong and not what, so that a cause says more.
    """

    rule: Classification
    code: str | None
    is_said: bool = False
    is_vague: bool = False


def is_refinable(rule: Classification) -> bool:
    """Whether a message may say more than this."""
    return rule in _REFINABLE or rule is BUG


def may_refine(rule: Classification, said: Classification) -> bool:
    """Whether a provider's own sentence may say more than a class, a status or a code; who was sent away has no bug."""
    return rule in _REFINABLE or (rule is BUG and said is AUTH)


def is_untrusted(rule: Classification, told: Iterable[Told | None]) -> bool:
    """Whether what a class or a code calls a connection that failed has met a certificate that is not trusted."""
    return rule is NETWORK and any(one is not None and one.rule is UNTRUSTED for one in told)


def told_by(text: str) -> Told | None:
    """What a message of a known form says, whatever wrappers have put before it; `None` for any other."""
    return _told(text[:MESSAGE_LENGTH_MAX], _NESTED_MAX)


def leading_status(text: str) -> int | None:
    """The HTTP status that a text begins with."""
    found = _NUMBER.match(text)
    return int(found[1]) if found is not None and int(found[1]) in HTTP_RULES else None


def _told(text: str, depth: int) -> Told | None:
    named: Told | None = None
    for one, shown in _without_stack(text):
        bare = [*_without_prefixes(one)]
        parts = [part for part, _ in bare]
        found = first_of(map(_said, parts)) or first_of(_by_form(part) or _by_body(part, depth) for part in parts)
        if found is not None:
            return found
        named = (
            named or _by_names([*(name for _, name in bare), shown, *_alone(bare)]) or first_of(map(_by_rest, parts))
        )
    return named


def _alone(bare: list[tuple[str, str | None]]) -> list[str]:
    """What may be a class's name and nothing else, behind other classes' names if behind anything."""
    *before, (last, _) = bare
    return [] if False in [name is not None and _ERROR.search(name) is not None for _, name in before] else [last]


def _by_names(names: list[str | None]) -> Told | None:
    for name in names:
        rule = rule_by_name(name) or rule_by_word(name) if name is not None and _CLASS.fullmatch(name) else None
        if rule is not None and name is not None:
            return Told(rule, name)
    return None


def _without_stack(text: str) -> Iterator[tuple[str, str | None]]:
    """The text, and what is left of it without the stack behind it, each with the class that JavaScript shows."""
    yield text, None
    frames = _FRAMES.search(text)
    if frames is None:
        return
    head = text[: frames.start()]
    # LangChain has the message, an empty line, and the error as it is shown, which begins with its class.
    first, _, rest = head.partition("\n\n")
    shown = _SHOWN.match(rest.strip() if rest else head)
    yield first, shown["name"] if shown is not None else None


def _without_prefixes(text: str) -> Iterator[tuple[str, str | None]]:
    """The text, and what is left of it without each prefix in turn, each with the name in the prefix that follows."""
    for _ in range(_PREFIXES_MAX):
        prefix = _PREFIX.match(text)
        yield text, prefix["name"] if prefix is not None else None
        if prefix is None:
            return
        text = text[prefix.end() :]
    yield text, None


def _said(text: str) -> Told | None:
    """What a provider's own sentence at the beginning says."""
    leading = _LEADING.match(text)
    start = leading.end() if leading is not None else 0
    for form, rule in _SENTENCES:
        if form.match(text, start) is not None:
            return Told(rule, None, is_said=True)
    return None


def _by_rest(text: str) -> Told | None:
    """What a message says by its beginning, if nothing behind that says more."""
    return first_of(Told(rule, None, is_vague=True) for form, rule in VAGUE_TEXTS if form.match(text) is not None)


def _by_form(text: str) -> Told | None:
    for form, meaning in TEXT_RULES:
        if form.match(text) is not None:
            return Told(meaning, None)
    for form in STATUS_FORMS if _STATUS.search(text) is not None else ():
        found = form.match(text)
        if found is not None:
            return _by_status(found[1], text, text[found.end() :])
    for form in CODE_FORMS:
        found = form.match(text)
        rule = _rule_in_text(found[1]) if found is not None else None
        if found is not None and rule is not None:
            said = _said_behind(text, text[found.end() :])
            return said if said is not None and may_refine(rule, said.rule) else Told(rule, found[1])
    return _by_status(str(PHRASES[text]), text, "") if text in PHRASES else None


def _by_status(status: str, text: str, rest: str) -> Told | None:
    """What a status says, or what a sentence or a code behind it says beyond that."""
    said, rule = _said_behind(text, rest), rule_of_http(int(status))
    if said is not None:
        return said._replace(code=status) if said.rule is rule else said
    for code in (*codes_in(_body_behind(text, rest)), *_codes_behind(rest)):
        stronger = rule_of_code(code)
        # What is too large will not fit the next time either, whatever the limit is called.
        if stronger is not None and stronger is not rule and not (rule is CONTEXT_OVERFLOW and stronger is RATE_LIMIT):
            return Told(stronger, code)
    return Told(rule, status) if rule is not None else None


def first_of(found: Iterable[Told | None]) -> Told | None:
    """The first that is something."""
    return next((one for one in found if one is not None), None)


def _said_behind(text: str, rest: str) -> Told | None:
    """What a sentence says that stands behind the form of a message, or in the body there."""
    for form in _SENTENCE_BEHIND:
        found = form.match(rest)
        behind = _said(rest[found.end() :].lstrip(_BETWEEN)) if found is not None else None
        if behind is not None:
            return behind
    return _said_in(_body_behind(text, rest))


def _body_behind(text: str, rest: str) -> object:
    body = read_body(rest)
    return read_body(text) if body is None else body


def _codes_behind(rest: str) -> list[str]:
    found = [form.match(rest) for form in _CODES_BEHIND]
    return [code for one in found if one is not None for code in one.groups() if code]


def _said_in(body: object) -> Told | None:
    for path in _MESSAGES:
        message = found_at(body, *path)
        said = _said(str.__str__(message)) if is_a(message, str) else None
        if said is not None:
            return said
    return None


def _by_body(text: str, depth: int) -> Told | None:
    """What the body of an answer says that is the whole message, as JSON or as Python writes a dict."""
    if text[:1] not in {"{", "["}:
        return None
    body = read_body(text.rstrip().removesuffix("]") if text[0] == "[" else text)
    if body is None:
        return None
    codes = [*codes_in(body)]
    strong = next((Told(rule, code) for code in codes if (rule := rule_of_code(code)) is not None), None)
    found = _said_in(body) or strong or _by_number(body)
    if found is not None:
        return found
    inner = found_at(body, "error")
    if is_a(inner, str) and depth > 0:
        return _told(str.__str__(inner), depth - 1)
    return next((Told(rule, code) for code in codes if (rule := rule_of_type(code)) is not None), None)


def _by_number(body: object) -> Told | None:
    for path in _NUMBERS:
        number = found_at(body, *path)
        if is_a(number, str) and str.isdigit(number):
            number = int(number[:4])
        if is_a(number, int) and not is_a(number, bool) and number in HTTP_ERRORS:
            rule = rule_of_http(int.__int__(number))
            return Told(rule, str(int.__int__(number))) if rule is not None else None
    return None


def _rule_in_text(code: str) -> Classification | None:
    # In lower case only what no sentence begins with: codes of providers.
    return rule_of_code(code) if code.islower() else rule_of_code(code) or rule_by_name(code) or rule_by_word(code)

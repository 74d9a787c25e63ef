# SPDX-License-Identifier: Apache-2.0
"""What an error's message says, where it has the fixed form that a client, a runtime or a framework gives to it.

A form is anchored where the message begins, or ends, and a number or a code in it is looked up in the tables. No word
in the middle of a message says anything: it may be a tool's name, or a customer's. The forms are in `message_forms`,
the providers' own sentences in `provider_texts`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.bodies import codes_in, found_at, read_body
from agent_outcomes.outcome.codes import GRPC_NUMBERS, GRPC_RULES, HTTP_RULES
from agent_outcomes.outcome.error_classes import CATCH_ALLS
from agent_outcomes.outcome.error_names import (
    HTTP_ERRORS,
    rule_by_ending,
    rule_by_name,
    rule_by_word,
    rule_of_code,
    rule_of_http,
    rule_of_type,
    segment_of,
)
from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    BUG,
    CANCELLED,
    CONTEXT_OVERFLOW,
    NETWORK,
    NOT_FOUND,
    OTHER,
    QUOTA,
    RATE_LIMIT,
    TRANSIENT,
    UNTRUSTED,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.message_forms import (
    CAPITALS_FORM,
    CODE_FORMS,
    GRPC_CLASS,
    MESSAGE_PREFIX,
    NUMBER_FORM,
    NUMBERED_FORM,
    PHRASES,
    PLAIN_CLASSES,
    STATUS_FORMS,
    TEXT_RULES,
    VAGUE_TEXTS,
    WORD_RULES,
)
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.provider_texts import SENTENCES
from agent_outcomes.outcome.store_codes import store_code_in
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX, is_a
from agent_outcomes.outcome.vendor_codes import MCP_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from re import Match

_PREFIXES_MAX: Final = 4
_NESTED_MAX: Final = 2

# By OpenTelemetry's own convention the text of a failed span begins with the class; a plain word is no class.
_CLASS: Final = Pattern(r"(?:[\w$]+\.)*(?:\w*(?:Error|Exception)|(?:[A-Z][a-z0-9]+){2,})|(?:[\w$]+\.)+[A-Z]\w*")
_ERROR: Final = Pattern(r"(?:Error|Exception)$")
# How much is believed behind words: what a framework says of a call that failed is a client's beginning, and what says
# that anything failed may have a client's message behind it; other words are a tool's, about its own matters.
_CALL_FAILED: Final = Pattern(
    r"(?=.*\b(?:[Ee]rror|[Ff]ail(?:ed|ure)?)\b).*\b(?:API|LLM|[Mm]odel|[Aa]gent|[Cc]hat|[Cc]ompletion|[Gg]enerating|output)\b"
)
_FAILED: Final = Pattern(
    r"(?i)\b(?:errors?|exception|fail\w*|unable|could not|cannot|while|calling|running|invoking)\b"
)
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
        r"[\s\S]*?'reason': '(?P<one>\w+)'",
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
_LEADING: Final = Pattern(r"['\"]|[45]\d\d (?=[A-Z\u4e00-\u9fff])")
_NUMBERS: Final = (("error", "code"), ("error", "status"), ("status",), ("status_code",), ("statusCode",), ("code",))
_MESSAGES: Final = (("error", "message"), ("message",), ("error",), ("detail",), ("error", "metadata", "raw"))
_SENTENCES: Final = tuple((Pattern(f"(?:{'|'.join(forms)})"), rule) for rule, forms in SENTENCES)
# What a class, an HTTP status or a code says of very different reasons, which a sentence beside it may tell apart.
_REFINABLE: Final = frozenset({AUTH, BAD_REQUEST, NETWORK, NOT_FOUND, OTHER, QUOTA, RATE_LIMIT, TRANSIENT, UPSTREAM})


class _Trust(IntEnum):
    """Whose words those behind a prefix may be."""

    TOOLS = 0
    ANYBODYS = 1
    CLIENTS = 2


class _Part(NamedTuple):
    """What is left of a text without the prefixes before it, `name` that of the next, `classes` those passed by."""

    text: str
    name: str | None
    trust: _Trust
    classes: tuple[str, ...]


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


def told_by(text: str, name: str | None = None) -> Told | None:
    """What a message of a known form says, whatever wrappers have put before it; `None` for any other.

    `name` is the class or code that the message is known to stand beside.
    """
    return _told(text[:MESSAGE_LENGTH_MAX], _NESTED_MAX, name or None)


def leading_status(text: str) -> int | None:
    """The HTTP status that a text begins with, behind the word that JavaScript puts before an error's message."""
    found = _NUMBER.match(text.removeprefix("Error: "))
    return int(found[1]) if found is not None and int(found[1]) in HTTP_RULES else None


def _told(text: str, depth: int, of: str | None = None) -> Told | None:
    named: Told | None = None
    for one, shown in _without_stack(text):
        parts = [*_without_prefixes(one, of)]
        found = first_of(_said(part.text) for part in parts if part.trust is not _Trust.TOOLS)
        found = found or first_of(_by_form(part) or _by_body(part.text, depth) for part in parts)
        if found is not None:
            return found
        names = _by_names([*(part.name for part in parts), shown, *_alone(parts)], of)
        named = named or names or first_of(_by_rest(part.text) for part in parts)
    return named


def _alone(parts: list[_Part]) -> list[str]:
    """What may be a class's name and nothing else, behind other classes' names if behind anything."""
    *before, last = parts
    is_shown = all(part.name is not None and _ERROR.search(part.name) is not None for part in before)
    return [last.text] if is_shown else []


def _by_names(names: list[str | None], of: str | None) -> Told | None:
    if not CATCH_ALLS.isdisjoint(names):
        return None
    for name in names:
        if name is None or _CLASS.fullmatch(name) is None:
            continue
        # A status that begins with the bare class is that of the class which is known with its module.
        full = of if of is not None and segment_of(of) == name else name
        rule = rule_by_name(full) or rule_by_word(full) or rule_by_ending(full)
        if rule is not None:
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


def _without_prefixes(text: str, of: str | None) -> Iterator[_Part]:
    """The text, and what is left of it without each prefix in turn."""
    trust, classes = _Trust.CLIENTS, (() if of is None else (of,))
    for _ in range(_PREFIXES_MAX):
        prefix = MESSAGE_PREFIX.match(text)
        name = prefix["name"] or prefix["driver"] if prefix is not None else None
        yield _Part(text, name, trust, classes)
        if prefix is None:
            return
        trust = min(trust, _trust_behind(name or prefix["words"]))
        classes = (*classes, name) if name is not None else classes
        text = text[prefix.end() :]
    yield _Part(text, None, trust, classes)


def _trust_behind(words: str | None) -> _Trust:
    if words is None or _CLASS.fullmatch(words) is not None or _CALL_FAILED.match(words) is not None:
        return _Trust.CLIENTS
    return _Trust.TOOLS if _FAILED.search(words) is None else _Trust.ANYBODYS


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


def _by_form(part: _Part) -> Told | None:
    text = part.text
    for form, meaning in _text_rules(part):
        if form.match(text) is not None:
            return Told(meaning, None)
    code = store_code_in(text, part.classes) if part.trust is not _Trust.TOOLS else None
    if code is not None and (rule := rule_of_code(code)) is not None:
        return Told(rule, code)
    for form in STATUS_FORMS if _STATUS.search(text) is not None else ():
        found = form.match(text) if form is not NUMBER_FORM or part.trust is _Trust.CLIENTS else None
        if found is not None:
            return _by_status(found[1], text, text[found.end() :])
    for form in CODE_FORMS:
        found = form.match(text)
        rule = _rule_in_text(found[1]) if found is not None and _is_code(form, found, part) else None
        if found is not None and rule is not None:
            said = _said_behind(text, text[found.end() :])
            return said if said is not None and may_refine(rule, said.rule) else Told(rule, found[1])
    return _by_status(str(PHRASES[text]), text, "") if text in PHRASES else None


def _text_rules(part: _Part) -> Iterator[tuple[Pattern, Classification]]:
    """The forms that a text may have, as far as what stands before it is no tool's."""
    if part.trust is _Trust.TOOLS:
        return
    for form, rule in TEXT_RULES:
        if rule is not CANCELLED or part.trust is _Trust.CLIENTS:
            yield form, rule
    if part.trust is _Trust.CLIENTS and PLAIN_CLASSES.issuperset(part.classes):
        yield from WORD_RULES


def _is_code(form: Pattern, found: Match[str], part: _Part) -> bool:
    """Whether what has the form of a code is one, and no word that a tool writes in capitals."""
    if found[1] in MCP_MESSAGES:
        return MCP_MESSAGES[found[1]].match(part.text, found.end()) is not None
    if form is NUMBERED_FORM:
        return GRPC_NUMBERS.get(int(found[0].partition(" ")[0])) == found[1]
    if form is not CAPITALS_FORM or ("_" in found[1] and found[1] not in GRPC_RULES):
        return True
    return part.trust is _Trust.CLIENTS and all(GRPC_CLASS.search(name) for name in part.classes)


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

# SPDX-License-Identifier: Apache-2.0
"""How a run executed: stated status, error, category, retryability, as statements for each span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.classification import UNNAMED_ERROR
from agent_outcomes.outcome.codes import CATEGORY_RULES, FINISH_REASON_RULES, HTTP_RULES
from agent_outcomes.outcome.error_classes import PARENTS_OF_ALL
from agent_outcomes.outcome.error_names import (
    AROUND,
    BEFORE,
    BEHIND,
    BETWEEN,
    ENDINGS,
    PYTHONS_OWN,
    SUFFIX,
    grpc_codes,
    is_failure,
    names,
    roots,
    rule_by_word,
    stems,
    strong_codes,
    word_of,
    words,
)
from agent_outcomes.outcome.errors import AWAITING_HUMAN, BAD_REQUEST, OTHER, SUSPENDED, UPSTREAM, Classification
from agent_outcomes.outcome.finish_reasons import FINISH_WORDS, NO_ENDS
from agent_outcomes.outcome.name_words import (
    CODE_QUALIFIERS,
    EVERYWHERE,
    NO_ENDING,
    SHARED_ROOTS,
    SUCCESSORS,
    TOO_COMMON,
)
from agent_outcomes.outcome.spellings import STATUS_WORDS
from agent_outcomes.outcome.vendor_codes import TYPE_RULES
from agent_outcomes.record.record import OTHER_TEXT
from agent_outcomes.run.conventions import AI_SDK_OPERATION, FINISH_REASON, KIND_ROLES, OPERATION, Role
from agent_outcomes.run.normalize import _STATUS_RULES
from agent_outcomes.run.protocol_statuses import HTTP_STATUS_KEYS
from agent_outcomes.run.stated_errors import AI_SDK_SCOPE, ANSWERED_KEYS
from agent_outcomes.semconv import ErrorCategory, Source, Status
from tests.tools.metrics_only.ottl import (
    IN_ERROR,
    any_of,
    assign,
    attribute,
    boolean_of,
    cache,
    canonical,
    first_text,
    is_one_of,
    look_up,
    map_of,
    map_of_words,
    quoted,
    replace_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNKNOWN_END: Final = Classification(Status.UNKNOWN, "", retryable=None, remedy=None)
_BETWEEN_SEGMENTS: Final = r"[.$+#/\\:*]"

# An attribute that only lives between two groups of statements.
EXCEPTION: Final = "agent_outcomes.exception"


def event_statements() -> list[str]:
    """The statements for each span event."""
    named = 'spanevent.attributes["exception.type"]'
    where = f'{IN_ERROR} and spanevent.name == "exception" and IsString({named})'
    return [assign(attribute(EXCEPTION), named, where)]


def stated_status() -> Iterator[str]:
    """What the status word means: a status, a type, a category."""
    word = cache("word")
    statuses = {one: found.status.value for one, found in STATUS_WORDS.items() if found.status is not None}
    types = {one: found.type.value for one, found in STATUS_WORDS.items() if found.type is not None}
    categories = {one: found.category.value for one, found in STATUS_WORDS.items() if found.category is not None}
    yield assign(cache("statuses"), map_of_words(statuses), f"{word} != nil")
    yield assign(cache("word_types"), map_of_words(types), f"{word} != nil")
    yield assign(cache("word_categories"), map_of_words(categories), f"{word} != nil")
    yield look_up(cache("stated"), cache("statuses"), word)
    yield look_up(cache("word_type"), cache("word_types"), word)
    yield look_up(cache("word_category"), cache("word_categories"), word)
    unknown = f"{word} != nil and {cache('stated')} == nil and {cache('word_type')} == nil"
    yield assign(cache("stated"), quoted(Status.UNKNOWN.value), unknown)


def _rule_names() -> dict[Classification, str]:
    """A name for every row of the tables: its category, with the status before it where two rows share one."""
    rows = [*names().values(), *words().values(), *TYPE_RULES.values()]
    rows += [*HTTP_RULES.values(), *FINISH_WORDS.values(), *CATEGORY_RULES.values(), OTHER, _UNKNOWN_END]
    named: dict[Classification, str] = {}
    for row in sorted(set(rows), key=rows.index):
        name = row.category or row.status.value
        taken = (name, f"{row.status.value}_{name}", f"{row.status.value}_{name}_{str(row.retryable).lower()}")
        named[row] = next(one for one in taken if one not in named.values())
    return named


def _rule(row: Classification) -> str:
    entries = {"status": quoted(row.status.value)}
    if row.category:
        entries["category"] = quoted(row.category)
    if row.retryable is not None:
        entries["retryable"] = str(row.retryable).lower()
    if row.paused:
        entries["paused"] = "true"
    return map_of(entries)


def error_names() -> Iterator[str]:
    """The rule of the recorded exception, else of the stated error type: by full name or code, then by its word."""
    rules = _rule_names()
    full = {str(code): rules[row] for code, row in HTTP_RULES.items()}
    full |= {name: rules[row] for name, row in names().items() if rule_by_word(name) is not row}
    stated = attribute(semconv.ERROR_TYPE)
    needed = f"{IN_ERROR} or IsString({stated})"
    yield assign(cache("rules"), map_of({name: _rule(row) for row, name in rules.items()}))
    yield assign(cache("names"), map_of_words(full), needed)
    yield assign(cache("words"), map_of_words({word: rules[row] for word, row in words().items()}), needed)
    failures = {stem: rules[row] for stem, row in stems().items() if is_failure(row)}
    yield assign(cache("stems"), map_of_words(failures), needed)
    everywhere = {word: row for word, row in words().items() if EVERYWHERE.search(word) and is_failure(row)}
    yield assign(cache("everywhere"), map_of_words({word: rules[row] for word, row in everywhere.items()}), needed)
    under = {f"{root} {word}": rules[row] for (root, word), row in roots().items()}
    yield assign(cache("roots"), map_of_words(under), needed)
    codes = {word: rules[row] for word, row in grpc_codes().items()}
    yield assign(cache("grpc_codes"), map_of_words(codes), needed)
    codes = {word: rules[row] for word, row in strong_codes().items() if is_failure(row)}
    yield assign(cache("codes"), map_of_words(codes), needed)
    yield assign(cache("recorded"), attribute(EXCEPTION), f"IsString({attribute(EXCEPTION)})")
    usable = f'IsString({stated}) and {stated} != "" and {stated} != {quoted(UNNAMED_ERROR)}'
    yield assign(cache("error_type"), stated, usable)
    for name in ("recorded", "error_type"):
        yield from _rule_by_name(name, rules)
    yield from _rule_by_status(rules)
    # A vendor's word for errors of many kinds says less than a name or a status, wherever that stands.
    yield assign(cache("types"), map_of_words({word: rules[row] for word, row in TYPE_RULES.items()}), needed)
    for name in ("recorded", "error_type"):
        code = cache(f"{name}_code")
        yield assign(code, f"ToLowerCase({cache(name)})", f"{cache(name)} != nil")
        yield look_up(cache("rule"), cache("types"), code, f"{cache('rule')} == nil")


def _rule_by_name(name: str, rules: Mapping[Classification, str]) -> Iterator[str]:
    error, word, rule = cache(name), cache(f"{name}_word"), cache("rule")
    open_yet = f"{rule} == nil"
    # What is one of Python's own is looked up by its full name alone, and a vendor's word by none.
    has_word = f"{error} != nil and not {is_one_of([*_pythons_own(), *TYPE_RULES], error)}"
    yield look_up(rule, cache("names"), error, open_yet)
    yield assign(word, error, has_word)
    for pattern in (AROUND, BEHIND):
        yield replace_all(word, pattern, "$1")
    before = cache(f"{name}_before")
    yield assign(before, word)
    yield replace_all(word, BEFORE, "")
    yield assign(
        before, f"Substring({before}, 0, Len({before}) - Len({word}))", f"{before} != nil and {before} != {word}"
    )
    yield assign(before, quoted(""), f'{before} == {word} or ({before} != nil and IsMatch({before}, "[#/]$|^[*]$"))')
    yield assign(cache(f"{name}_segment"), word)
    yield assign(word, f"ToLowerCase({word})", f"{word} != nil")
    yield replace_all(word, BETWEEN, "")
    yield from _rule_by_word(name, open_yet)
    yield from _rule_by_range(error, rules)
    yield from _rule_by_ending(name, rules)


def _rule_by_word(name: str, open_yet: str) -> Iterator[str]:
    """By the last segment: alone, under its row's own root, as a code, or where it means one thing everywhere."""
    word, before, rule = cache(f"{name}_word"), cache(f"{name}_before"), cache("rule")
    root, found = cache(f"{name}_root"), cache(f"{name}_found")
    is_bare = f'{open_yet} and {before} == ""'
    is_qualified = f'{open_yet} and {before} != nil and {before} != ""'
    yield look_up(rule, cache("words"), word, f"{is_bare} and not {is_one_of(sorted(TOO_COMMON), word)}")
    yield assign(root, before, is_qualified)
    yield replace_all(root, f"^{_BETWEEN_SEGMENTS}+", "")
    shared = f"^(?:{'|'.join(sorted(SHARED_ROOTS))}){_BETWEEN_SEGMENTS}"
    segment = f"[^{_BETWEEN_SEGMENTS[1:]}+"
    one, two = (
        f'replace_pattern({root}, {quoted(f"^({segment}{more}).*$")}, "$1")'
        for more in ("", f"(?:{_BETWEEN_SEGMENTS}+{segment})?")
    )
    is_shared = f"IsMatch({root}, {quoted(shared)})"
    yield f"{two} where {root} != nil and {is_shared}"
    yield f"{one} where {root} != nil and not {is_shared}"
    yield replace_all(root, f"{_BETWEEN_SEGMENTS}+", ".")
    for successor, first in SUCCESSORS.items():
        yield assign(root, quoted(first), f"{root} == {quoted(successor)}")
    yield assign(root, f'Concat([{root}, {word}], " ")', f"{root} != nil")
    yield look_up(rule, cache("roots"), root, open_yet)
    is_grpc = f"IsMatch({before}, {quoted(CODE_QUALIFIERS['grpc'].pattern)})"
    vendors = [CODE_QUALIFIERS[kind].pattern for kind in ("vendor", "dotted")]
    is_code = any_of(f"IsMatch({before}, {quoted(pattern)})" for pattern in vendors)
    yield look_up(rule, cache("grpc_codes"), word, f"{is_qualified} and {is_grpc}")
    yield look_up(rule, cache("codes"), word, f"{is_qualified} and not {is_grpc} and {is_code}")
    everywhere = quoted("".join(EVERYWHERE.pattern.split()))
    is_common = is_one_of(sorted(TOO_COMMON), word)
    yield assign(found, "true", f"{open_yet} and {word} != nil and IsMatch({word}, {everywhere}) and not {is_common}")
    yield look_up(rule, cache("everywhere"), word, f"{open_yet} and {found} == true")
    is_known = cache(f"{name}_is_known")
    yield assign(is_known, f"{cache('words')}[{word}]", f"{word} != nil")
    yield replace_all(word, SUFFIX, "")
    yield look_up(rule, cache("stems"), word, f"{open_yet} and {found} == true and {is_known} == nil")


def _rule_by_ending(name: str, rules: Mapping[Classification, str]) -> Iterator[str]:
    """By the words that a class ends in."""
    segment, rule = cache(f"{name}_segment"), cache("rule")
    is_none = f"IsMatch({segment}, {quoted(NO_ENDING.pattern)})"
    for ending, row in ENDINGS:
        is_ending = f"IsMatch({segment}, {quoted(ending.pattern)})"
        yield assign(rule, quoted(rules[row]), f"{rule} == nil and {segment} != nil and {is_ending} and not {is_none}")


def _rule_by_status(rules: Mapping[Classification, str]) -> Iterator[str]:
    rule, status = cache("rule"), cache("http_status")
    for key in HTTP_STATUS_KEYS:
        yield assign(status, f"String({attribute(key)})", f"{IN_ERROR} and {rule} == nil and {attribute(key)} != nil")
        yield look_up(rule, cache("names"), status, f"{rule} == nil")
        yield from _rule_by_range(status, rules)


def _rule_by_range(status: str, rules: Mapping[Classification, str]) -> Iterator[str]:
    rule = cache("rule")
    for pattern, row in (("^5[0-9]{2}$", UPSTREAM), ("^4[0-9]{2}$", BAD_REQUEST)):
        yield assign(
            rule, quoted(rules[row]), f"{rule} == nil and {status} != nil and IsMatch({status}, {quoted(pattern)})"
        )


def _pythons_own() -> list[str]:
    """Python's own exceptions of no row that a word of the tables sounds like, and other classes of that sort."""
    return sorted(PARENTS_OF_ALL) + sorted(
        spelled
        for name in PYTHONS_OWN
        for spelled in (name, f"builtins.{name}")
        if f"builtins.{name}" not in names() and (word_of(name) in words() or EVERYWHERE.search(word_of(name)))
    )


def finding() -> Iterator[str]:
    """The rule by which the run ended, whatever was stated."""
    names = _rule_names()
    rule, reason = cache("rule"), cache("reason")
    pauses = [names[row] for row in (AWAITING_HUMAN, SUSPENDED)]
    clean = f"not {IN_ERROR} and ({rule} == nil or not {is_one_of(pauses, rule)})"
    reasons = {one: names[row] for one, row in FINISH_WORDS.items()}
    yield assign(rule, quoted(names[FINISH_REASON_RULES["completed"]]), clean)
    yield assign(rule, quoted(names[OTHER]), f"{rule} == nil")
    yield from canonical("reason", FINISH_REASON)
    yield assign(cache("reasons"), map_of_words(reasons), f"{reason} != nil")
    yield assign(cache("reason_rule"), cache("reasons", reason), f"{reason} != nil")
    is_open = f"{reason} == nil or {is_one_of(['', *sorted(NO_ENDS)], reason)}"
    untold = f"{clean} and span.status.code == STATUS_CODE_UNSET and not ({is_open})"
    yield assign(rule, quoted(names[_UNKNOWN_END]), untold)
    yield assign(
        rule, quoted(names[_UNKNOWN_END]), f"{clean} and span.status.code == STATUS_CODE_UNSET and {_broken_off()}"
    )
    yield assign(cache("by_error"), "true", f"{IN_ERROR} and {cache('reason_rule')} == nil")
    yield assign(rule, cache("reason_rule"))
    yield assign(cache("found"), cache("rules", rule))


def _broken_off() -> str:
    """Whether a span is the AI SDK's for a call of its that came to no answer."""
    words = [str(word) for word, role in KIND_ROLES[AI_SDK_OPERATION].items() if role is Role.AGENT]
    model = attribute("gen_ai.request.model")
    named = f'IsString({model}) and span.name == Concat(["invoke_agent", {model}], " ")'
    scoped = f'scope.name == {quoted(AI_SDK_SCOPE)} and {attribute(OPERATION)} == "invoke_agent" and {named}'
    nothing = " and ".join(f"{attribute(key)} == nil" for key in sorted(ANSWERED_KEYS))
    whole = "span.dropped_attributes_count == 0"
    return f"({is_one_of(words, attribute(AI_SDK_OPERATION))} or ({scoped})) and {whole} and {nothing}"


def execution() -> Iterator[str]:
    """Status, category, retryability and source."""
    status, stated, execution = cache("status"), cache("stated"), cache("execution")
    found_status = cache("found", '"status"')
    failure, success = quoted(Status.FAILURE.value), quoted(Status.SUCCESS.value)
    yield assign(status, found_status)
    yield assign(status, stated)
    explained = f"({stated} == {failure} and {found_status} != {success} and {cache('by_error')} == true)"
    yield assign(execution, cache("found"), f"{status} == {found_status} or {explained}")
    for one, rule in _STATUS_RULES.items():
        row = Classification(one, rule.category or "", rule.retryable, None)
        yield assign(execution, _rule(row), f"{execution} == nil and {status} == {quoted(one.value)}")
    yield look_up(execution, cache("rules"), cache("word_category"))
    yield from first_text("category", [semconv.AGENT_OUTCOME_ERROR_CATEGORY])
    names = _rule_names()
    categories = {category: names[row] for category, row in CATEGORY_RULES.items()}
    category = cache("category")
    yield assign(cache("categories"), map_of_words(categories), f"{category} != nil and {status} == {failure}")
    yield look_up(cache("category_rule"), cache("categories"), category, f"{status} == {failure}")
    yield look_up(execution, cache("rules"), cache("category_rule"))
    yield assign(category, cache("execution", '"category"'), f"{category} == nil")
    known = [one.value for one in ErrorCategory]
    yield assign(category, quoted(OTHER_TEXT), f"{category} != nil and not {is_one_of(known, category)}")
    yield assign(cache("retryable"), cache("execution", '"retryable"'))
    yield from boolean_of("retryable", semconv.AGENT_OUTCOME_RETRYABLE)
    source = cache("source")
    inferred = quoted(Source.INFERRED.value)
    yield assign(source, quoted(Source.EXPLICIT.value), f"{stated} != nil")
    yield assign(source, inferred, f"{stated} == nil or {attribute(semconv.AGENT_OUTCOME_SOURCE)} == {inferred}")

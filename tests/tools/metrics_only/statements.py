# SPDX-License-Identifier: Apache-2.0
"""The package's rules for one span, said in the collector's transformation language (OTTL).

Everything that is a table in the package is taken from there; what is code there is restated here, and
`tests/integration/collector/test_metrics_only.py` holds both against the same spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.model import BUSINESS_SUCCESS_BY_TYPE
from agent_outcomes.outcome.spellings import TYPE_WORDS
from agent_outcomes.run.conventions import AGENT_NAME_KEYS, NAME_PREFIX, NAME_SUFFIX, UNNAMED
from agent_outcomes.run.usage_keys import REQUEST_MODEL_KEYS
from agent_outcomes.semconv import CostKind, Source, State, TokenType
from tests.tools.metrics_only.money import COST_PART, TOKENS, cost, currencies, money, tokens
from tests.tools.metrics_only.ottl import (
    BLANK,
    any_of,
    assign,
    attribute,
    boolean_of,
    cache,
    canonical,
    first_text,
    is_one_of,
    look_up,
    map_of_words,
    quoted,
    replace_all,
    shortened,
)
from tests.tools.metrics_only.runs import all_scopes, known_roots
from tests.tools.metrics_only.status import error_names, execution, finding, stated_status

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGES: Final = ("Server", "Client", "Producer", "Consumer")

Section = tuple[str, list[str]]


def span_statements() -> Iterator[Section]:
    """The statements for each span, in sections, each with its line of comment."""
    yield (
        "The status as stated. A word that no table has is unknown; a handed-off run states its type, not its status.",
        [*canonical("word", semconv.AGENT_OUTCOME_STATUS, any_type=True), *stated_status()],
    )
    yield (
        "The status as the span's end has it: its finish reason, else the error it ended with, else success.",
        [*error_names(), *finding()],
    )
    yield (
        "Category and retryability: of what was found where that explains what was stated, else of the stated status.",
        [*execution()],
    )
    yield "The business result.", [*_business()]
    yield (
        "The value, in a currency that exists, with at most 12 fraction digits and below 10^15; or none.",
        [*currencies(), *money("value", [semconv.AGENT_OUTCOME_VALUE], semconv.AGENT_OUTCOME_CURRENCY, signed=True)],
    )
    yield (
        "The cost in total; without one, what the run's own span metered or reported.",
        [*cost()],
    )
    yield "The tokens on the run's own span.", [*tokens()]
    yield "Who, and which kind of job.", [*_names()]
    yield "The span as the connector reads it; a run that waits for a person has no outcome yet.", [*_written()]


def _business() -> Iterator[str]:
    type_, success = cache("type"), cache("success")
    yield from canonical("type_word", semconv.AGENT_OUTCOME_TYPE)
    yield assign(cache("types"), map_of_words({word: one.value for word, one in TYPE_WORDS.items()}))
    yield look_up(type_, cache("types"), cache("type_word"))
    yield assign(type_, cache("word_type"), f"{type_} == nil")
    verdicts = {type_.value: verdict for type_, verdict in BUSINESS_SUCCESS_BY_TYPE.items() if type_ is not None}
    for verdict in (True, False):
        having = [word for word, one in verdicts.items() if one is verdict]
        yield assign(success, str(verdict).lower(), is_one_of(having, type_))
    yield from boolean_of("success", semconv.AGENT_OUTCOME_SUCCESS)
    yield from first_text("label", [semconv.AGENT_OUTCOME_LABEL, semconv.LABEL_ALIAS])


def _names() -> Iterator[str]:
    agent, name = cache("agent"), cache("span_name")
    yield from first_text("agent", AGENT_NAME_KEYS)
    # The name of a server, client or messaging span is that of an endpoint, unless it says that it is an agent's or is
    # that of a framework's root.
    edge, unnamed = is_one_of(EDGES, "span.kind.string"), is_one_of(sorted(map(str, UNNAMED)), "span.name")
    says_so = f"IsMatch(span.name, {quoted('^' + NAME_PREFIX.pattern)})"
    named = f"(not {edge} or {says_so} or {any_of(known_roots())})"
    yield assign(name, "span.name", f"{agent} == nil and {named} and not {any_of([unnamed, *_unnamed_roots()])}")
    yield shortened(name)
    for pattern in (NAME_PREFIX.pattern, NAME_SUFFIX.pattern, BLANK):
        yield replace_all(name, pattern, "")
    models = "".join(f" and {name} != {attribute(key)}" for key in REQUEST_MODEL_KEYS)
    yield assign(agent, name, f'{name} != nil and {name} != ""{models}')
    yield from first_text("job_type", [semconv.AGENT_OUTCOME_JOB_TYPE])


def _unnamed_roots() -> Iterator[str]:
    for scope, rules in all_scopes():
        if rules.unnamed_roots:
            yield f"({scope} and {is_one_of(sorted(rules.unnamed_roots), 'span.name')})"


def _written() -> Iterator[str]:
    paused = f"{cache('found', quoted('paused'))} == true and {cache('source')} == {quoted(Source.INFERRED.value)}"
    reported = any_of(f"{cache(name)} != nil" for name in ("success", "type", "label", "value"))
    yield "keep_keys(span.attributes, [])"
    yield assign(attribute(semconv.AGENT_OUTCOME_STATUS), cache("status"), f"not ({paused})")
    yield assign(attribute(semconv.AGENT_OUTCOME_STATE), quoted(State.REPORTED.value), reported)
    for key, name in _WRITTEN.items():
        yield assign(attribute(key), cache(name))
    yield assign(attribute(semconv.AGENT_OUTCOME_CURRENCY), cache("value_currency"), f"{cache('value')} != nil")
    for one in CostKind:
        yield assign(attribute(COST_PART + one.value), cache(COST_PART + one.value))
    for direction in TokenType:
        # Tokens have no status among their labels, by which the other counters of such a span stay out.
        yield assign(attribute(TOKENS + direction.value), cache(TOKENS + direction.value), f"not ({paused})")


_WRITTEN: Final = {
    semconv.GEN_AI_AGENT_NAME: "agent",
    semconv.AGENT_OUTCOME_JOB_TYPE: "job_type",
    semconv.AGENT_OUTCOME_RETRYABLE: "retryable",
    semconv.AGENT_OUTCOME_ERROR_CATEGORY: "category",
    semconv.AGENT_OUTCOME_SOURCE: "source",
    semconv.AGENT_OUTCOME_TYPE: "type",
    semconv.AGENT_OUTCOME_SUCCESS: "success",
    semconv.AGENT_OUTCOME_LABEL: "label",
    semconv.AGENT_OUTCOME_VALUE: "value",
    semconv.AGENT_OUTCOME_COST: "cost",
    semconv.AGENT_OUTCOME_COST_CURRENCY: "cost_currency",
}

# SPDX-License-Identifier: Apache-2.0
"""Amounts and currencies, cost and tokens on the run's own span, as statements for each span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import FRACTION_DIGITS_MAX
from agent_outcomes.outcome.currencies import CURRENCIES, DEFAULT_CURRENCY
from agent_outcomes.outcome.spellings import KIND_WORDS
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.scopes import SCOPES
from agent_outcomes.run.tally import COUNT_MAX
from agent_outcomes.run.usage_keys import COST_KEYS, INPUT, OUTPUT, PROPOSED_COST, PROPOSED_CURRENCY, SPELLINGS
from agent_outcomes.semconv import CostKind, TokenType
from tests.tools.metrics_only.ottl import (
    BLANK,
    all_of,
    any_of,
    assign,
    attribute,
    cache,
    canonical,
    is_one_of,
    list_of,
    look_up,
    map_of_words,
    quoted,
    replace_all,
)
from tests.tools.metrics_only.runs import role_of_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Attributes that only live between the transform and the connector.
COST_PART: Final = "agent_outcomes.cost."
TOKENS: Final = "agent_outcomes.tokens."
AMOUNT_TEXT_LENGTH_MAX: Final = 64
INTEGER_DIGITS_MAX: Final = 15
# From here on Go writes a double with an exponent.
SMALLEST_EXPONENT: Final = 7
# Text that is a count: no more digits than the largest one has.
WHOLE_NUMBER: Final = rf"^0*[0-9]{{1,{len(str(COUNT_MAX))}}}(?:\.0*)?$"
# A currency in mixed case is another unit.
ONE_CASE: Final = r"^\s*(?:[A-Z]{3}|[a-z]{3})\s*$"
# What is not above it is rounded to nothing.
HALF_STEP: Final = f"0.{'0' * FRACTION_DIGITS_MAX}5"


def _exact_amount(*, signed: bool) -> str:
    """The amounts that are carried: digits enough before and after the point, and doubles that Go writes with `e-`."""
    digits, fraction = INTEGER_DIGITS_MAX, FRACTION_DIGITS_MAX
    plain = [rf"0*[0-9]{{1,{digits}}}(?:\.[0-9]{{0,{fraction}}}0*)?", rf"\.[0-9]{{1,{fraction}}}0*"]
    small = [
        rf"[0-9](?:\.[0-9]{{1,{fraction - exponent}}})?e-0?{exponent}"
        for exponent in range(SMALLEST_EXPONENT, fraction)
    ]
    sign = "[+-]?" if signed else "[+]?"
    return f"^{sign}(?:{'|'.join([*plain, *small, f'[0-9]e-{fraction}'])})$"


def money(
    name: str,
    keys: Iterable[str],
    currency_key: str,
    *,
    where: str = "true",
    currency_where: str = "true",
    signed: bool = False,
    calculated: bool = False,
) -> Iterator[str]:
    """An amount as a double and its currency; of several keys the first that is there. Unsigned, none is below 0.

    A double that is `calculated` is rounded to the fraction digits that are carried, if that leaves more than nothing.
    """
    raw, text, currency = cache(f"{name}_raw"), cache(f"{name}_text"), cache(f"{name}_currency")
    # Of calculated ones another may know what the first left at 0.
    open_ = f"({raw} == nil or {raw} == 0 or {raw} == 0.0)" if calculated else f"{raw} == nil"
    for key in keys:
        yield assign(raw, attribute(key), all_of(open_, where))
    yield assign(text, raw, f"IsString({raw}) and Len({raw}) <= {AMOUNT_TEXT_LENGTH_MAX}")
    yield assign(text, f"String({raw})", f"IsInt({raw}) or IsDouble({raw})")
    if calculated:
        rounded = f'Format("%.{FRACTION_DIGITS_MAX}f", [{raw}])'
        yield assign(text, rounded, f"IsDouble({raw}) and {raw} > {HALF_STEP}")
    yield replace_all(text, BLANK, "")
    # Nothing below nothing is nothing.
    yield replace_all(text, r"^-(?:0+(?:\.0*)?|\.0+)$", "0")
    with_exponent = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][+-]?[0-9]{1,3}$"
    yield assign(text, f"String(Double({text}))", f"{text} != nil and IsMatch({text}, {quoted(with_exponent)})")
    given = attribute(currency_key)
    is_code = f"IsString({given}) and IsMatch({given}, {quoted(ONE_CASE)})"
    yield assign(currency, f"ToUpperCase({given})", all_of(is_code, currency_where))
    yield assign(currency, quoted(DEFAULT_CURRENCY), any_of([f"{given} == nil", f"not {currency_where}"]))
    yield replace_all(currency, BLANK, "")
    carried = f"{text} != nil and IsMatch({text}, {quoted(_exact_amount(signed=signed))})"
    yield assign(cache(name), f"Double({text})", f"{carried} and ContainsValue({cache('currencies')}, {currency})")


def currencies() -> Iterator[str]:
    """The currencies that exist."""
    yield assign(cache("currencies"), list_of(sorted(CURRENCIES)))


def cost() -> Iterator[str]:
    """The run's cost, by kind and in total."""
    stated, currency, cost = cache("stated_cost"), cache("cost_currency"), cache("cost")
    yield from money("stated_cost", [semconv.AGENT_OUTCOME_COST], semconv.AGENT_OUTCOME_COST_CURRENCY)
    where = f"{stated} == nil"
    yield from money("metered", [semconv.AGENT_COST_AMOUNT], semconv.AGENT_COST_CURRENCY, where=where)
    # A placeholder of 0 has given way to another amount, which has no currency.
    proposed = f"{attribute(PROPOSED_COST)} != nil and {cache('reported_raw')} == {attribute(PROPOSED_COST)}"
    yield from money(
        "reported", COST_KEYS, PROPOSED_CURRENCY, where=where, currency_where=f"({proposed})", calculated=True
    )
    # A cost of 0 beside tokens is what those write who know no price.
    tokens = any_of([f"{attribute(key)} != nil" for direction in (INPUT, OUTPUT) for key in SPELLINGS[direction]])
    yield f'delete_key(span.cache, "reported") where {cache("reported")} == 0.0 and {tokens}'
    for name in ("stated_cost", "metered", "reported"):
        yield assign(currency, cache(f"{name}_currency"), f"{currency} == nil and {cache(name)} != nil")
    yield f'delete_key(span.cache, "reported") where {currency} != {cache("reported_currency")}'
    yield assign(cost, "0.0", f"{currency} != nil")
    for name in ("stated_cost", "metered", "reported"):
        yield assign(cost, f"{cost} + {cache(name)}", f"{cache(name)} != nil")
    yield from _cost_by_kind()


def _cost_by_kind() -> Iterator[str]:
    kind, metered, reported = cache("kind"), cache("metered"), cache("reported")
    llm = cache(COST_PART + CostKind.LLM.value)
    yield from canonical("kind_word", semconv.AGENT_COST_KIND)
    yield assign(cache("kinds"), map_of_words({word: one.value for word, one in KIND_WORDS.items()}))
    yield assign(kind, quoted(CostKind.OTHER.value))
    yield look_up(kind, cache("kinds"), cache("kind_word"))
    yield assign(cache(COST_PART + CostKind.OTHER.value), cache("stated_cost"))
    for one in CostKind:
        part = cache(COST_PART + one.value)
        yield assign(part, metered, f"{metered} != nil and {kind} == {quoted(one.value)}")
    yield assign(llm, "0.0", f"{llm} == nil and {reported} != nil")
    yield assign(llm, f"{llm} + {reported}", f"{reported} != nil")


def tokens() -> Iterator[str]:
    """Input and output tokens."""
    by_scope = is_one_of([scope for scope, rules in SCOPES.items() if rules.has_lifetime_totals], "scope.name")
    lifetime = f"{cache('lifetime')} == true"
    yield assign(cache("lifetime"), "true", f"{by_scope} and {role_of_span({Role.AGENT})}")
    for direction, dimension in ((TokenType.INPUT, INPUT), (TokenType.OUTPUT, OUTPUT)):
        raw = cache(f"{direction.value}_raw")
        for key in SPELLINGS[dimension]:
            yield assign(raw, attribute(key), f"{raw} == nil and not {lifetime}")
        whole = f"IsDouble({raw}) and {raw} >= 0.0 and {raw} <= {COUNT_MAX}.0 and Double(Int({raw})) == {raw}"
        yield assign(raw, f"Int({raw})", whole)
        yield assign(raw, f"Int(Double({raw}))", f"IsString({raw}) and IsMatch({raw}, {quoted(WHOLE_NUMBER)})")
        in_range = f"IsInt({raw}) and {raw} >= 0 and {raw} <= {COUNT_MAX}"
        yield assign(cache(TOKENS + direction.value), raw, in_range)

# SPDX-License-Identifier: Apache-2.0
"""What a model call that reports no cost has cost, by its tokens and somebody's prices.

Only a call of its own is priced, never an aggregate: prices depend on the model, and some on the size of the request.
A call whose tokens do not add up, or of which a part is unknown, has no price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import ByFields
from agent_outcomes.outcome.amounts import parse_calculated_amount, parse_count, parse_currency
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, Problem
from agent_outcomes.run.tally import COUNT_MAX
from agent_outcomes.run.terms import read_terms
from agent_outcomes.run.usage_keys import (
    CACHE_WRITE,
    CACHED,
    COUNTED_KEYS,
    DETAIL_KEYS,
    INPUT,
    MODEL_KEYS,
    MODEL_NAME_LENGTH_MAX,
    OBJECT_KEYS,
    OUTPUT,
    PROVIDER_KEYS,
    REASONING,
    REQUEST_MODEL_KEYS,
    TOLD_KEYS,
)
from agent_outcomes.run.usage_objects import read_details, read_object, read_told
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_outcomes.outcome.attribute_reader import SpanLimits
    from agent_outcomes.run.tally import Tally

PRICES: Final = "prices"
"""Where a problem with what the prices function returned was found."""
# Where conventions put token counts. One that no table has may be billed at a rate of its own: audio, images, searches.
_USAGE_PREFIXES: Final = ("gen_ai.usage.", "llm.token_count.", "llm.usage.", "ai.usage.")
# Say again what their whole says, at the same price.
SPLIT_KEYS: Final = frozenset(
    {
        "ai.usage.inputTokenDetails.noCacheTokens",
        "ai.usage.outputTokenDetails.textTokens",
        "gen_ai.usage.details.accepted_prediction_tokens",
        "gen_ai.usage.details.input_tokens",
        "gen_ai.usage.details.output_tokens",
        "gen_ai.usage.details.rejected_prediction_tokens",
        "gen_ai.usage.details.text_candidates_tokens",
        "gen_ai.usage.details.text_prompt_tokens",
        "gen_ai.usage.input_text_tokens",
        "gen_ai.usage.output_text_tokens",
        "gen_ai.usage.raw",
        "gen_ai.usage.text.cache_read.input_tokens",
        "gen_ai.usage.text.input_tokens",
        "gen_ai.usage.text.output_tokens",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ModelCall(ByFields):
    """One call to a model that reported tokens and no cost.

    `cached_tokens` and `cache_write_tokens` are parts of `input_tokens`, `reasoning_tokens` are part of
    `output_tokens`; a count is `None` where it was not reported. `model` is what answered, or else what was asked for.
    `service_tier`, `speed` and `inference_geo` are in the provider's words: as it has answered, or else as was asked
    for. `started_ns` is Unix time in nanoseconds.
    """

    model: str
    request_model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    service_tier: str | None = None
    started_ns: int | None = None
    speed: str | None = None
    inference_geo: str | None = None


Prices = Callable[[ModelCall], tuple[Decimal, str] | None]
"""Gives the amount and the ISO 4217 currency that a call has cost, or `None` where it does not know."""


def compute_cost(
    tally: Tally,
    attributes: Mapping[str, Any],
    prices: Callable[[ModelCall], object],
    *,
    started_ns: int | None = None,
    limits: SpanLimits = NO_LIMITS,
) -> None:
    """Set the cost of a span that is one model call without a reported cost; `prices` must not raise.

    Reads the provider, model, service tier, speed and region of every convention known. Amounts are rounded to 12
    fraction digits, half to even; what cannot be taken is listed and leaves the call unpriced.
    """
    call = _model_call(tally, attributes, started_ns, limits)
    price = prices(call) if call is not None else None
    if price is None:
        return
    amount, currency = price if isinstance(price, tuple) and len(price) == 2 else (None, None)  # noqa: PLR2004 - a pair
    exact, code = parse_calculated_amount(amount), parse_currency(currency)
    if exact is None:
        tally.note((Problem(ProblemKind.INVALID_AMOUNT, PRICES),))
    elif code is None:
        tally.note((Problem(ProblemKind.INVALID_CURRENCY, PRICES),))
    elif exact < 0:
        tally.note((Problem(ProblemKind.NEGATIVE_COST, PRICES),))
    else:
        tally.computed = {code: exact}
        tally.unpriced = 0


def _model_call(
    tally: Tally, attributes: Mapping[str, Any], started_ns: int | None, limits: SpanLimits
) -> ModelCall | None:
    request_model = _first_text(attributes, REQUEST_MODEL_KEYS, limits)
    model = _first_text(attributes, MODEL_KEYS, limits) or request_model
    if model is None or not _is_countable(tally) or _has_unknown_usage(attributes):
        return None
    terms = read_terms(attributes, limits)
    if terms is None:
        return None
    tokens = tally.tokens
    return ModelCall(
        model=model,
        request_model=request_model,
        provider=_first_text(attributes, PROVIDER_KEYS, limits),
        input_tokens=tokens[INPUT],
        output_tokens=tokens[OUTPUT],
        cached_tokens=tokens[CACHED],
        cache_write_tokens=tokens[CACHE_WRITE],
        reasoning_tokens=tokens[REASONING],
        service_tier=terms.service_tier,
        started_ns=started_ns,
        speed=terms.speed,
        inference_geo=terms.inference_geo,
    )


def _is_countable(tally: Tally) -> bool:
    """Whether all tokens are known, and how their parts were counted."""
    if tally.tokens[INPUT] is None and tally.tokens[OUTPUT] is None:
        return False
    return not any(
        problem.kind in _LOST_TOKENS or problem.attribute in COUNTED_KEYS for problem in tally.problems or ()
    )


_LOST_TOKENS: Final = frozenset({ProblemKind.ATTRIBUTES_DROPPED, ProblemKind.USAGE_MISMATCH})


def _has_unknown_usage(attributes: Mapping[str, Any]) -> bool:
    for key, value in attributes.items():
        if key in OBJECT_KEYS or key in DETAIL_KEYS:
            found = read_object(key, value) if key in OBJECT_KEYS else read_details(key, value)
            if found is None or found.has_more:
                return True
        elif key in TOLD_KEYS:
            told = read_told(key, value)
            if told is not None and told.has_more:
                return True
        elif (
            key.startswith(_USAGE_PREFIXES)
            and key not in COUNTED_KEYS
            and key not in SPLIT_KEYS
            and "cost" not in key
            and parse_count(value, COUNT_MAX) != 0
        ):
            return True
    return False


def _first_text(attributes: Mapping[str, Any], keys: Iterable[str], limits: SpanLimits) -> str | None:
    for key in keys:
        value = attributes.get(key)
        # Text as long as the provider's limit may have been cut, and would then name something else.
        if isinstance(value, str) and 0 < len(value) <= MODEL_NAME_LENGTH_MAX:
            # MLflow's text is JSON.
            return None if limits.may_have_cut(value) else str.__str__(value).strip('"') or None
    return None

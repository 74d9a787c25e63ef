# SPDX-License-Identifier: Apache-2.0
"""What the page shows, as numbers: amounts as decimal texts, times in ISO 8601."""

from __future__ import annotations

from decimal import Context, Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from agent_outcomes.gateway.http_api.answering import answer_of
from agent_outcomes.gateway.http_api.queries import RangeQuery, agent_asked_for, check_range, read_query, time_ns
from agent_outcomes.gateway.http_api.run_answers import shown_text
from agent_outcomes.ledger.exporting import time_text
from agent_outcomes.ledger.overview import OverviewFilter, overview
from agent_outcomes.outcome.amounts import plain_text

if TYPE_CHECKING:
    from starlette.responses import Response

    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.ledger.book.overviews import OutcomeCost, OutcomeCount, Overview

_NS: Final = 1_000_000_000
_RANGE_NS: Final = 30 * 86_400 * _NS
"""Over which time, where nobody says."""
STEPS: Final = 60
"""Into how many steps the range is divided."""
_SHOWN: Final = Context(prec=18)


class FunnelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs there were, how many of them ended with the status success, and how many of those paid."""

    total: int
    successful: int
    converted: int
    deflected: int


class RateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's runs that ended in one step of time; `successes` are the reported outcomes that met their goal."""

    start: str
    agent_name: str | None
    runs: int
    reported: int
    successes: int


class OutcomesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Reported outcomes of a type and label."""

    type: str | None
    label: str | None
    outcomes: int


class JobTypeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of job in one currency; `value_ratio` is value over cost. `runs` and `outcomes` are of all currencies."""

    job_type: str | None
    currency: str
    runs: int
    outcomes: int
    value: str
    cost: str
    value_ratio: str | None


class OutcomeCostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs behind reported outcomes of a type and label cost; `outcomes` are those with a known cost."""

    type: str | None
    label: str | None
    currency: str
    outcomes: int
    cost: str
    cost_per_outcome: str


class RetryableAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that could succeed if they were run again, by why they did not."""

    agent_name: str | None
    error_category: str | None
    runs: int


class MoneyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All value and all cost in one currency."""

    currency: str
    value: str
    cost: str


class TotalsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs that ended in a range of time come to; if it is partial, these are the last of very many.

    Of `pruned` runs only their number is left.
    """

    since: str
    until: str
    step_s: int
    is_partial: bool
    runs: int
    reported: int
    pending: int
    pruned: int
    successes: int
    funnel: FunnelAnswer
    rates: list[RateAnswer]
    outcomes: list[OutcomesAnswer]
    job_types: list[JobTypeAnswer]
    outcome_costs: list[OutcomeCostAnswer]
    retryable_failures: list[RetryableAnswer]
    money: list[MoneyAnswer]


async def tell_totals(call: ApiCall) -> Response:
    """`GET /v1/totals`: over the last 30 days, if nobody says otherwise."""
    query = read_query(call.request.query_params, RangeQuery)
    now_ns = call.context.now_ns()
    given_ns, end_ns = time_ns(query.since, "since", now_ns), time_ns(query.until, "until", now_ns)
    until_ns = now_ns if end_ns is None else end_ns
    since_ns = max(0, min(until_ns, now_ns) - _RANGE_NS) if given_ns is None else given_ns
    check_range(since_ns, until_ns)
    step_s = max(1, -(-(until_ns - since_ns) // (STEPS * _NS)))
    agent = agent_asked_for(call.caller, query.agent)
    wanted = OverviewFilter(since_ns, until_ns, agent, query.job_type, step_s, call.caller.agents)
    found = await call.context.run_blocking(
        partial(overview, call.context.store, wanted, decode=msgspec.json.Decoder().decode)
    )
    return answer_of(totals_answer(found, since_ns, until_ns))


def totals_answer(found: Overview, since_ns: int, until_ns: int) -> TotalsAnswer:
    """An overview as the API tells of it."""
    return TotalsAnswer(
        since=time_text(since_ns),
        until=time_text(until_ns),
        step_s=found.step_s,
        is_partial=found.is_partial,
        runs=found.runs,
        reported=found.reported,
        pending=found.pending,
        pruned=found.pruned,
        successes=found.successes,
        funnel=FunnelAnswer(
            total=found.runs, successful=found.clean, converted=found.converted, deflected=found.deflected
        ),
        rates=_rates(found),
        outcomes=[OutcomesAnswer(**_kind(each), outcomes=each.outcomes) for each in found.outcomes],
        job_types=_job_types(found),
        outcome_costs=_outcome_costs(found),
        retryable_failures=_retryable(found),
        money=[
            MoneyAnswer(currency=each.currency, value=plain_text(each.value), cost=plain_text(each.cost))
            for each in found.money
        ],
    )


def _rates(found: Overview) -> list[RateAnswer]:
    return [
        RateAnswer(
            start=time_text(each.start_ns),
            agent_name=shown_text(each.agent),
            runs=each.runs,
            reported=each.reported,
            successes=each.successes,
        )
        for each in found.buckets
    ]


def _job_types(found: Overview) -> list[JobTypeAnswer]:
    return [
        JobTypeAnswer(
            job_type=shown_text(each.job_type),
            currency=each.currency,
            runs=each.runs,
            outcomes=each.outcomes,
            value=plain_text(each.value),
            cost=plain_text(each.cost),
            value_ratio=None if each.ratio is None else _rounded(each.ratio),
        )
        for each in found.jobs
    ]


def _outcome_costs(found: Overview) -> list[OutcomeCostAnswer]:
    return [
        OutcomeCostAnswer(
            **_kind(each),
            currency=each.currency,
            outcomes=each.outcomes,
            cost=plain_text(each.cost),
            cost_per_outcome=_rounded(each.average),
        )
        for each in found.costs
    ]


def _retryable(found: Overview) -> list[RetryableAnswer]:
    return [
        RetryableAnswer(agent_name=shown_text(each.agent), error_category=shown_text(each.category), runs=each.runs)
        for each in found.retryable
    ]


def _kind(each: OutcomeCount | OutcomeCost) -> dict[str, str | None]:
    return {"type": None if each.type is None else each.type.value, "label": shown_text(each.label)}


def _rounded(quotient: Decimal) -> str:
    """A quotient is no amount: 18 digits are enough of it."""
    return plain_text(_SHOWN.plus(quotient))

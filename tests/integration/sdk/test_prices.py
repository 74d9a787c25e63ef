# SPDX-License-Identifier: Apache-2.0
"""Costs computed from tokens in a real SDK pipeline: by a function, by genai-prices, beside reported ones."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import Status, StatusCode

from agent_outcomes import AgentOutcomeSpanProcessor, ModelCall, SettingsError, agent_run
from tests.pipeline import AGENT, MODEL, Pipeline, call_model, use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer


GPT_4O = {**MODEL, "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
MINI = {**GPT_4O, "gen_ai.request.model": "gpt-4o-mini"}
PER_TOKEN = {"gpt-4o": Decimal("0.0000025"), "gpt-4o-mini": Decimal("0.00000015")}


def by_table(call: ModelCall) -> tuple[Decimal, str] | None:
    """One price for every token, of two models."""
    price = PER_TOKEN.get(call.model)
    return None if price is None else (price * ((call.input_tokens or 0) + (call.output_tokens or 0)), "USD")


def model_call(tracer: Tracer, attributes: Mapping[str, Any], tokens: tuple[int, int], cost: str | None = None) -> None:
    with tracer.start_as_current_span("chat", attributes=attributes) as span:
        use(span, *tokens, cost)


def raise_if(error: Exception | None) -> None:
    if error is not None:
        raise error


def cost_of(pipeline: Pipeline) -> tuple[Any, Any, Any, Any]:
    """Amount, currency, source and completeness on the only event; the metric has the same amount."""
    event = pipeline.event()
    amount = event.outcome("cost")
    assert pipeline.total("agent.run.cost") == (amount or 0)
    return amount, event.outcome("cost_currency"), event.outcome("cost_source"), event.outcome("cost_complete")


def test_leaves_are_priced_by_a_function() -> None:
    """Every call by its own model; the agent's repeated totals are not priced again."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes={**AGENT, "gen_ai.request.model": "gpt-4o"}) as span:
        model_call(tracer, GPT_4O, (1000, 200))
        model_call(tracer, MINI, (10, 1))
        use(span, 1010, 201)
    assert cost_of(pipeline) == (0.00300165, "USD", "computed", True)


def test_reported_beside_computed() -> None:
    """A call that reports its cost is not priced; the sum says that a part was computed."""
    asked: list[str] = []

    def prices(call: ModelCall) -> tuple[Decimal, str] | None:
        asked.append(call.model)
        return by_table(call)

    pipeline = Pipeline(prices=prices)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        model_call(tracer, GPT_4O, (1000, 0), "0.5")
        model_call(tracer, MINI, (1000, 0))
    assert cost_of(pipeline) == (0.50015, "USD", "computed", True)
    assert asked == ["gpt-4o-mini"]


def test_all_reported_is_reported() -> None:
    """With prices at hand, what is reported stays what it is."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        model_call(tracer, GPT_4O, (1000, 0), "0.5")
    assert cost_of(pipeline) == (0.5, "USD", "reported", True)


def test_an_unknown_model_is_not_free() -> None:
    """What is known is summed, and the cost is incomplete."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        model_call(tracer, MINI, (1000, 0))
        model_call(tracer, {**MODEL, "gen_ai.request.model": "home-made"}, (1000, 0))
    assert cost_of(pipeline) == (0.00015, "USD", "computed", False)


def test_only_an_unknown_model() -> None:
    """Then there is no amount at all."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer, cost=None)
    assert cost_of(pipeline) == (None, None, None, False)


def test_failed_calls_count() -> None:
    """A call that failed and reports tokens was billed; the retry that followed counts as well."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        with tracer.start_as_current_span("chat", attributes=GPT_4O) as failed:
            use(failed, 400, 0)
            failed.set_status(Status(StatusCode.ERROR))
        model_call(tracer, GPT_4O, (400, 0))
    assert cost_of(pipeline) == (0.002, "USD", "computed", True)


def test_every_attempt_is_a_run_with_its_own_cost() -> None:
    """The cost of attempts that failed is counted under their status, not lost with them."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()
    for error in (ConnectionError(), ConnectionError(), None):
        with suppress(ConnectionError), agent_run("bot", tracer_provider=pipeline.spans):
            model_call(tracer, GPT_4O, (400, 0))
            raise_if(error)
    cost = {
        status: pipeline.total("agent.run.cost", {"agent.outcome.status": status}) for status in ("failure", "success")
    }
    assert cost == {"failure": 0.002, "success": 0.001}


@pytest.mark.parametrize("error", [KeyError("m"), ZeroDivisionError(), RecursionError()], ids=repr)
def test_prices_that_raise(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The application sees nothing of it; the error is counted and logged, and the cost is incomplete."""

    def prices(_: ModelCall) -> tuple[Decimal, str]:
        raise error

    pipeline = Pipeline(prices=prices)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        model_call(tracer, GPT_4O, (1, 1))
    assert cost_of(pipeline) == (None, None, None, False)
    assert pipeline.event().outcome("status") == "success"
    labels = {"error.type": type(error).__name__}
    assert pipeline.total("agent_outcomes.processor.errors", labels) == 1
    (record,) = caplog.records
    assert "the prices of 'gpt-4o' raised" in record.getMessage()


def test_a_price_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    """What a function returns in place of an amount is listed on the event, counted and logged."""
    pipeline = Pipeline(prices=lambda _: (Decimal("NaN"), "USD"))
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        model_call(tracer, GPT_4O, (1, 1))
    assert cost_of(pipeline) == (None, None, None, False)
    assert pipeline.event().problems == ["invalid_amount:prices"]
    assert pipeline.problem_count("invalid_amount") == 1
    (record,) = caplog.records
    assert "'invalid_amount:prices'. An amount is no decimal" in record.getMessage()


def test_sums_of_computed_costs_are_exact() -> None:
    """10,000 calls at a price that no double holds, over four threads, add up to the last digit."""
    pipeline = Pipeline(prices=by_table)
    tracer = pipeline.tracer()

    def run() -> None:
        for _ in range(250):
            with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
                for _ in range(10):
                    model_call(tracer, MINI, (1, 0))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run) for _ in range(4)]:
            done.result()
    assert pipeline.total("agent.run.cost") == 0.0015


def test_prices_may_make_spans_of_their_own() -> None:
    """A function that is traced itself does not hang or change the run: no lock is held around it."""
    pipeline: Pipeline

    def prices(call: ModelCall) -> tuple[Decimal, str] | None:
        with pipeline.tracer().start_as_current_span("look up"):
            return by_table(call)

    pipeline = Pipeline(prices=prices)

    def run() -> None:
        with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
            model_call(pipeline.tracer(), GPT_4O, (400, 0))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert cost_of(pipeline) == (0.001, "USD", "computed", True)


@pytest.mark.parametrize("by_argument", [True, False], ids=["argument", "variable"])
def test_genai_prices(by_argument: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a table's column
    """The word alone brings list prices: 2.5 and 10 USD a million, half of the input price for what was cached."""
    if not by_argument:
        monkeypatch.setenv("AGENT_OUTCOMES_PRICES", "genai-prices")
    given: Any = {"prices": "genai-prices"} if by_argument else {}
    pipeline = Pipeline(**given)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        cached = {**GPT_4O, "gen_ai.usage.cache_read.input_tokens": 400}
        model_call(tracer, cached, (1000, 100))
    assert cost_of(pipeline) == (0.003, "USD", "computed", True)


def test_genai_prices_by_openinference() -> None:
    """The names of another convention lead to the same prices."""
    pipeline = Pipeline(prices="genai-prices")
    tracer = pipeline.tracer("openinference.instrumentation.openai")
    model = {"openinference.span.kind": "LLM", "llm.provider": "azure", "llm.model_name": "gpt-4o-2024-08-06"}
    tokens = {"llm.token_count.prompt": 1000, "llm.token_count.completion": 100}
    with (
        tracer.start_as_current_span("agent", attributes={"openinference.span.kind": "AGENT"}),
        tracer.start_as_current_span("ChatCompletion", attributes={**model, **tokens}),
    ):
        pass
    assert cost_of(pipeline) == (0.0035, "USD", "computed", True)


def test_without_prices_nothing_is_computed() -> None:
    """The default is what was reported, and incompleteness where nothing was."""
    pipeline = Pipeline()
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        model_call(pipeline.tracer(), GPT_4O, (1000, 100))
    assert cost_of(pipeline) == (None, None, None, False)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At set-up, not in the middle of a run."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setenv("AGENT_OUTCOMES_PRICES", "genai-prices")
    with pytest.raises(SettingsError, match="otel-agent-outcomes"):
        AgentOutcomeSpanProcessor()

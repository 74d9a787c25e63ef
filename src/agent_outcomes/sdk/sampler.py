# SPDX-License-Identifier: Apache-2.0
"""A sampler wrapper under which head sampling loses no outcome.

A span that the sampler drops never reaches a span processor. The wrapper turns DROP into RECORD_ONLY where that
span may be or belong to a run: such spans are recorded for processors, and still not exported.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)

from agent_outcomes.foreign_exceptions import SILENT
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

_logger: Final = logging.getLogger(__name__)

RATIO_VARIABLE: Final = "OTEL_TRACES_SAMPLER_ARG"


class OutcomeSampler(Sampler):
    """Samples as `delegate` does, but lets span processors see what it drops.

    Turns DROP into RECORD_ONLY for root spans, spans with a remote parent and spans whose local parent is recording, so
    that outcome counts, tokens and costs are those of all runs. Start attributes stay, which the SDK's own
    `AlwaysRecordSampler` loses. It costs what recording a span costs (some 30 us), for every span of a dropped trace.
    """

    def __init__(self, delegate: Sampler) -> None:
        self._delegate = delegate

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """The delegate's result, with DROP upgraded to RECORD_ONLY."""
        result = self._delegate.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP or not _may_belong_to_run(parent_context):
            return result
        # Built-in samplers give no attributes with DROP, as nobody was to see them.
        return SamplingResult(Decision.RECORD_ONLY, result.attributes or attributes, result.trace_state)

    def get_description(self) -> str:
        """The name under which the sampler appears in diagnostics."""
        return f"OutcomeSampler{{{self._delegate.get_description()}}}"


def can_drop_roots(sampler: Sampler) -> bool:
    """Whether a sampler may drop a root span, so that runs would go uncounted; unknown samplers are taken to."""
    if isinstance(sampler, OutcomeSampler):
        return False
    if isinstance(sampler, ParentBased):
        return can_drop_roots(sampler._root)  # noqa: SLF001 - the SDK has no public way to ask
    if isinstance(sampler, StaticSampler):
        return sampler.should_sample(None, 0, "").decision is Decision.DROP
    if isinstance(sampler, TraceIdRatioBased):
        return sampler.rate < 1
    return "AlwaysRecord" not in type(sampler).__name__


def _may_belong_to_run(parent_context: Context | None) -> bool:
    parent = trace.get_current_span(parent_context)
    context = parent.get_span_context()
    return not context.is_valid or context.is_remote or parent.is_recording()


def _named(delegate: Callable[[float], Sampler], ratio_text: str | None = None) -> OutcomeSampler:
    """Make the sampler of an entry point. Never raises, as OpenTelemetry would go on without sampler or SDK.

    `OTEL_TRACES_SAMPLER` passes the text of `OTEL_TRACES_SAMPLER_ARG`; a YAML file passes nothing, and not its options
    either, so that the variable is read here.
    """
    return OutcomeSampler(delegate(_ratio(os.environ.get(RATIO_VARIABLE) if ratio_text is None else ratio_text)))


def _ratio(text: str | None) -> float:
    """A ratio; 1, as of the SDK's own samplers, where there is none or none that can be used."""
    if text is None or not text.strip():
        return 1.0
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    with SILENT:
        _logger.warning(
            "%s=%s is not usable; give a number from 0 to 1; 1 is used", RATIO_VARIABLE, printable(text[:80])
        )
    return 1.0


# The standard samplers, under the standard names with `outcome_` before.
outcome_always_on = partial(_named, lambda _: ALWAYS_ON)
outcome_always_off = partial(_named, lambda _: ALWAYS_OFF)
outcome_traceidratio = partial(_named, TraceIdRatioBased)
outcome_parentbased_always_on = partial(_named, lambda _: DEFAULT_ON)
outcome_parentbased_always_off = partial(_named, lambda _: DEFAULT_OFF)
outcome_parentbased_traceidratio = partial(_named, lambda ratio: ParentBased(TraceIdRatioBased(ratio)))

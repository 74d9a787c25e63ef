# SPDX-License-Identifier: Apache-2.0
"""A sampler wrapper under which head sampling loses no outcome.

A span that the sampler drops never reaches a span processor. The wrapper turns DROP into RECORD_ONLY where that
span may be or belong to a run: such spans are recorded for processors, and still not exported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes


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

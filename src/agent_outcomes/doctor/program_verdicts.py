# SPDX-License-Identifier: Apache-2.0
"""What a program's state means, layer by layer, and the lines to add or change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.doctor.findings import (
    INSTALL_ZERO_CODE,
    Layer,
    LayerState,
    export_line,
    failed,
    ok,
    skipped,
    unset_line,
)
from agent_outcomes.doctor.program import Output
from agent_outcomes.otel_variables import DISABLED_VARIABLE, OtlpSignal, is_switched_off
from agent_outcomes.semconv import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.doctor.program import ProgramState, ProviderSeen

NAMES_SHOWN_MAX: Final = 8
SAMPLER_VARIABLE: Final = "OTEL_TRACES_SAMPLER"
_SEE_PROVIDER: Final = "the program has no tracer provider"

_SET_PROVIDER: Final = """\
  from opentelemetry import trace
  from opentelemetry.sdk.trace import TracerProvider
  trace.set_tracer_provider(TracerProvider())"""
_INSTALL: Final = """\
  from agent_outcomes import install
  install()"""
_MARK: Final = """\
  span.set_attribute("gen_ai.operation.name", "invoke_agent")"""
_AGENT_SPAN: Final = """\
  from agent_outcomes import agent_run
  with agent_run("my-agent"):
      ...  # what the agent does"""

_PROVIDERS: Final[Mapping[OtlpSignal, str]] = {
    OtlpSignal.LOGS: "logger provider",
    OtlpSignal.METRICS: "meter provider",
}
_LOST: Final[Mapping[OtlpSignal, str]] = {OtlpSignal.LOGS: "events", OtlpSignal.METRICS: "metrics"}

# What became of outcomes that were made; `None` for what is as it should be.
_DROPS: Final[Mapping[str, tuple[str, str] | None]] = {
    DropReason.NO_PROVIDER: None,
    DropReason.PAUSED: None,
    DropReason.LIMIT: None,
    DropReason.SHUTDOWN: (
        "the run ended after the tracer provider was shut down",
        "Call provider.shutdown() only after the last run, or leave it to the SDK, which does it at exit.",
    ),
    DropReason.ERROR: (
        "the program's logger, meter or tracer raised",
        "The warning in the program's log names the exception: mend the processor, view or exporter that raised it.",
    ),
}


def judge_program(state: ProgramState, environ: Mapping[str, str]) -> list[LayerFinding]:
    """One finding for each layer of the program behind `command`; those behind a broken one are skipped."""
    checks: tuple[Callable[[ProgramState, Mapping[str, str]], LayerFinding], ...] = (
        _provider,
        _processor,
        _sampling,
        _outputs,
        _runs,
        _outcomes,
    )
    layers = (Layer.PROVIDER, Layer.PROCESSOR, Layer.SAMPLING, Layer.OUTPUTS, Layer.RUNS, Layer.OUTCOMES)
    findings: list[LayerFinding] = []
    for layer, check in zip(layers, checks, strict=True):
        broken = next((finding for finding in findings if finding.state is LayerState.FAIL), None)
        findings.append(
            check(state, environ) if broken is None else skipped(layer, f"because {broken.layer} is broken")
        )
    return findings


def judge_environment(environ: Mapping[str, str]) -> LayerFinding | None:
    """The sampler that the environment asks for, where it drops runs."""
    name = environ.get(SAMPLER_VARIABLE, "").strip().lower()
    if name.endswith("always_off") and not name.startswith("outcome_"):
        return _sampled_away(f"{SAMPLER_VARIABLE}={name}", name)
    if name in {"traceidratio", "parentbased_traceidratio"} and _ratio(environ) < 1:
        return _sampled_away(f"{SAMPLER_VARIABLE}={name} with OTEL_TRACES_SAMPLER_ARG={_ratio(environ):g}", name)
    return None


def _provider(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    del environ
    used = _used(state)
    if used is None:
        return failed(
            Layer.PROVIDER,
            "the program sets no tracer provider",
            why="Without one, OpenTelemetry records no span, so there is no run to be seen.",
            fix=f"Before the first span:\n{_SET_PROVIDER}\n"
            f"or, without touching the code (after {INSTALL_ZERO_CODE}), run it as\n"
            "  opentelemetry-instrument python YOUR-PROGRAM.py",
            variable="trace.set_tracer_provider(TracerProvider())",
        )
    if not used.is_global and not used.spans and not state.spans_started:
        return failed(
            Layer.PROVIDER,
            "a TracerProvider is made but not set as the global one, and no span comes from it",
            why="Libraries and trace.get_tracer() take the global provider; without one they record nothing.",
            fix="After it is made:\n  from opentelemetry import trace\n  trace.set_tracer_provider(provider)",
            variable="trace.set_tracer_provider(provider)",
        )
    return ok(Layer.PROVIDER, "set" if used.is_global else "made, and used without being the global one")


def _processor(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    used = _used(state)
    if used is None:
        return skipped(Layer.PROCESSOR, _SEE_PROVIDER)
    if used.processors > 1:
        places = ", ".join(used.places) or "places that were not seen"
        spare = f"\nRemove the one at {used.places[-1]}." if used.places else ""
        return failed(
            Layer.PROCESSOR,
            f"AgentOutcomeSpanProcessor is attached {used.processors} times, at {places}",
            why="All but one disable themselves, so that nothing counts twice; whose settings hold is left to chance.",
            fix="Keep one: install() attaches one, opentelemetry-instrument does, and "
            f"add_span_processor(AgentOutcomeSpanProcessor()) does.{spare}",
            variable=used.places[-1] if used.places else "add_span_processor(AgentOutcomeSpanProcessor())",
        )
    if used.processors == 1:
        return ok(Layer.PROCESSOR, f"attached once ({used.places[0]})" if used.places else "attached once")
    return _unattached(state, environ)


def _unattached(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    disabled = environ.get(DISABLED_VARIABLE, "")
    if {name.strip() for name in disabled.split(",")} & {"*", "agent_outcomes"}:
        return failed(
            Layer.PROCESSOR,
            f"AgentOutcomeSpanProcessor is not attached: {DISABLED_VARIABLE}={disabled[:120]}",
            why="It is what turns the spans of an agent into an outcome, and it is switched off by name.",
            fix=f"Take agent_outcomes, or *, out of that list, or remove it:\n{unset_line(DISABLED_VARIABLE)}",
            variable=DISABLED_VARIABLE,
            value="",
        )
    elsewhere = any(provider.processors for provider in state.providers)
    return failed(
        Layer.PROCESSOR,
        "AgentOutcomeSpanProcessor is attached to another tracer provider than the one that spans come from"
        if elsewhere
        else "AgentOutcomeSpanProcessor is not attached to the tracer provider",
        why="It is what turns the spans of an agent into an outcome.",
        fix=f"After the tracer provider is set:\n{_INSTALL}",
        variable="install()",
    )


def _sampling(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    used = _used(state)
    if used is None:
        return skipped(Layer.SAMPLING, _SEE_PROVIDER)
    if not used.can_drop:
        return ok(Layer.SAMPLING, used.sampler)
    return _sampled_away(used.sampler, environ.get(SAMPLER_VARIABLE, "").strip().lower())


def _sampled_away(sampler: str, name: str) -> LayerFinding:
    in_code = "  TracerProvider(sampler=OutcomeSampler(YOUR-SAMPLER))  # from agent_outcomes import OutcomeSampler"
    line = export_line(SAMPLER_VARIABLE, f"outcome_{name}")
    by_variable = f"{line}  # under opentelemetry-instrument\n" if name else ""
    return failed(
        Layer.SAMPLING,
        f"the sampler drops runs: {sampler}",
        why="A span that is dropped reaches no processor, so its run goes uncounted.",
        fix=f"Wrap it; as many traces are exported as before, and every run is counted:\n{by_variable}{in_code}",
        variable=SAMPLER_VARIABLE if name else "TracerProvider(sampler=...)",
        value=f"outcome_{name}" if name else None,
    )


def _outputs(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    outputs = ((OtlpSignal.LOGS, state.logs), (OtlpSignal.METRICS, state.metrics))
    bad = [(signal, output) for signal, output in outputs if output is not Output.PRESENT]
    if not bad:
        return ok(Layer.OUTPUTS, "a logger and a meter provider, or those that install() makes")
    signal, output = bad[0]
    provider = _PROVIDERS[signal]
    seen = f"there is no {provider}" if output is Output.MISSING else f"the {provider} exports nothing"
    lost = " and ".join(_LOST[signal] for signal, _ in bad)
    why = f"Outcomes are events and metrics: the {lost} are lost."
    if is_switched_off(environ, signal):
        variable = signal.exporter_variable
        fix = f"Export them:\n{export_line(variable, 'otlp')}"
        return failed(Layer.OUTPUTS, f"{seen}: {variable}=none", why=why, fix=fix, variable=variable, value="otlp")
    return failed(
        Layer.OUTPUTS,
        seen,
        why=why,
        fix="In place of add_span_processor(AgentOutcomeSpanProcessor()), which also makes what is missing, "
        f"from OTEL_EXPORTER_OTLP_*:\n{_INSTALL}",
        variable="install()",
    )


def _runs(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    del environ
    if state.agents_ended or state.events or state.drops:
        return ok(Layer.RUNS, f"{max(state.agents_ended, state.events)} ended")
    if not state.is_watched:
        return skipped(Layer.RUNS, "no run has ended in this process so far")
    if not state.spans_started:
        return failed(
            Layer.RUNS,
            "no span was started",
            why="An outcome is made from the span of an agent.",
            fix="Let the program do some work, or give it more time (--timeout SECONDS). To make a span yourself:\n"
            + _AGENT_SPAN,
            variable="agent_run",
        )
    return _unmarked(state) if any(span.ended for span in state.spans) else _unended(state)


def _unended(state: ProgramState) -> LayerFinding:
    names = ", ".join(f"`{span.name}`" for span in state.spans[:NAMES_SHOWN_MAX])
    return failed(
        Layer.RUNS,
        f"spans were started, but none has ended: {names}",
        why="A run is settled when its span ends.",
        fix="End it (span.end()), best by `with tracer.start_as_current_span(...)`; or give it more time "
        "(--timeout SECONDS).",
        variable="span.end()",
    )


def _unmarked(state: ProgramState) -> LayerFinding:
    return failed(
        Layer.RUNS,
        f"no span is an agent's. Seen: {_names(state)}",
        why="Only spans that are marked as an agent's become runs.",
        fix=f"Mark the span that stands for the agent:\n{_MARK}\nor wrap what the agent does:\n{_AGENT_SPAN}",
        variable="gen_ai.operation.name",
    )


def _outcomes(state: ProgramState, environ: Mapping[str, str]) -> LayerFinding:
    del environ
    bad = [(drop, known) for drop in state.drops if (known := _DROPS.get(drop.reason)) is not None]
    if bad:
        drop, (reason, fix) = bad[0]
        return failed(
            Layer.OUTCOMES,
            f"{drop.count} dropped ({drop.signal}): {reason}",
            why="A dropped outcome is in no event and in no count but agent_outcomes.processor.dropped.",
            fix=fix,
            variable="provider.shutdown()" if drop.reason == DropReason.SHUTDOWN else "",
        )
    dropped = ", ".join(f"{drop.count} {drop.signal} {drop.reason}" for drop in state.drops)
    if state.events or dropped or not state.is_watched:
        return ok(Layer.OUTCOMES, f"{state.events} handed over" + (f"; not handed over: {dropped}" if dropped else ""))
    return failed(
        Layer.OUTCOMES,
        "an agent's span has ended, but no outcome was made",
        why="A run waits for the spans around it to end; and what is_run= says is no run makes none.",
        fix="End the outer spans before the program ends. If you give is_run=, it must not return False for this span.",
        variable="is_run=",
    )


def _used(state: ProgramState) -> ProviderSeen | None:
    """The provider that spans come from: most of them, and the global one where there are none."""
    return max(state.providers, key=lambda provider: (provider.spans, provider.is_global), default=None)


def _names(state: ProgramState) -> str:
    shown = [f"`{span.name}` ({span.scope or 'no scope'})" for span in state.spans[:NAMES_SHOWN_MAX]]
    further = len(state.spans) - len(shown)
    return ", ".join(shown) + (f" and {further} further names" if further else "")


def _ratio(environ: Mapping[str, str]) -> float:
    """As the SDK reads it: what is no number counts as 1."""
    try:
        return float(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))
    except ValueError:
        return 1.0

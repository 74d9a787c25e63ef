# SPDX-License-Identifier: Apache-2.0
"""`install()`: one line that makes outcomes flow, whatever the application has set up so far or sets up later."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Unpack

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
    from agent_outcomes.sdk.span_reader import IsRun
    from agent_outcomes.settings_arguments import SettingsArguments


def install(
    tracer_provider: TracerProvider | None = None,
    *,
    logger_provider: LoggerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    is_run: IsRun | None = None,
    **settings: Unpack[SettingsArguments],
) -> AgentOutcomeSpanProcessor:
    """Add the processor to the tracer provider given, to the global one, or to every one used from now on.

    Takes the settings that `AgentOutcomeSpanProcessor` takes; one that is not given is read from its
    `AGENT_OUTCOMES_*` variable. Where the application has no logs or metrics pipeline when the first outcome arrives,
    private OTLP ones are built from `OTEL_EXPORTER_OTLP_*` (grpc and http/protobuf) with the tracer provider's
    resource, unless `OTEL_LOGS_EXPORTER` or `OTEL_METRICS_EXPORTER` is `none`. They flush at exit and with
    `tracer_provider.force_flush()`. Sets no global, so that the application's own `set_*_provider` still works. A
    second call returns the first one's processor, as it was made. The shutdown of a tracer provider ends its own part;
    with that of the last one the processor is shut down, and the next call makes a new one, with the arguments of
    before if it has none. With `ledger` nothing goes to providers: the ledger itself delivers to
    `OTEL_EXPORTER_OTLP_*`.

    Raises:
        SettingsError: an argument, or an `AGENT_OUTCOMES_*` or protocol variable, has a value that cannot be used.

    """
    # With the SDK's logs and metrics: what is built of them costs nobody who does not call this.
    from agent_outcomes.instrumentation.installation import install_once  # noqa: PLC0415

    return install_once(tracer_provider, logger_provider, meter_provider, is_run, settings)

# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.peers PEER`: what the span processors of others cost, in an environment that has the peer.

Their exporters drop what they are given, and each is flushed within the measured time. Their modules are looked up by
name, since each is installed in one environment only.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.bench.cases import SPAN_BENCHES, batch_case, no_op_case, outcome_case, provider_case
from tests.bench.paired import compare
from tests.bench.pipelines import RESOURCE, NoOpProcessor, NullSpanExporter, provider_with
from tests.bench.report import add_options, print_comparison, print_heading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    MakeProvider = Callable[[], TracerProvider]

ROUNDS: Final = 30
# Nothing is to leave this machine.
QUIET: Final = {
    "TRACELOOP_TELEMETRY": "false",
    "LOGFIRE_IGNORE_NO_CONFIG": "1",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "NO_PROXY": "127.0.0.1",
}
NOWHERE: Final = "http://127.0.0.1:1"

EXAMPLES: Final = """examples:
  make bench-peers                                             all peers
  make bench-peers PEERS="langfuse" PEERS_ARGS="--rounds 10 --only trace"
"""


def main() -> None:
    """Measure the peer named on the command line beside a no-op processor, the SDK's batch processor and ours."""
    options = _parser().parse_args()
    os.environ.update(QUIET)
    providers = PEERS[options.peer]()
    print(f"\n{options.peer}: ", end="")
    print_heading(options.rounds)
    for name in options.only:
        bench = SPAN_BENCHES[name]
        contenders = {
            "SDK batch processor, null exporter": partial(batch_case, bench),
            **{peer: partial(_peer_case, name, make) for peer, make in providers.items()},
            "agent_outcomes": partial(outcome_case, bench),
        }
        comparison = compare(partial(no_op_case, bench), contenders, iterations=bench.iterations, rounds=options.rounds)
        print_comparison(f"{name}: {bench.title}", "no-op processor", comparison)
    # Threads of peers that would send something at exit end with the process.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.peers",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peer", choices=[*PEERS], help="whose processors are measured")
    add_options(parser, [*SPAN_BENCHES], rounds=ROUNDS)
    return parser


def _peer_case(name: str, make: MakeProvider) -> Callable[[int], None]:
    return provider_case(SPAN_BENCHES[name], make())


def _traceloop() -> Mapping[str, MakeProvider]:
    tracing = import_module("traceloop.sdk.tracing.tracing")
    return {"traceloop": lambda: provider_with(tracing.get_default_span_processor(exporter=NullSpanExporter()))}


def _openinference() -> Mapping[str, MakeProvider]:
    base = import_module("openinference.instrumentation")
    openllmetry = import_module("openinference.instrumentation.openllmetry")
    pydantic_ai = import_module("openinference.instrumentation.pydantic_ai")

    def provider() -> TracerProvider:
        made: TracerProvider = base.TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
        made.add_span_processor(NoOpProcessor())
        return made

    return {
        "openinference openllmetry": lambda: provider_with(openllmetry.OpenInferenceSpanProcessor()),
        "openinference pydantic-ai": lambda: provider_with(pydantic_ai.OpenInferenceSpanProcessor()),
        "openinference provider, no-op": provider,
    }


def _langfuse() -> Mapping[str, MakeProvider]:
    # The public client would set the global provider and ask its server who we are.
    module = import_module("langfuse._client.span_processor")

    def processor(**options: object) -> SpanProcessor:
        made: SpanProcessor = module.LangfuseSpanProcessor(
            public_key="pk-lf-bench",
            secret_key="sk-lf-bench",  # noqa: S106 - no secret
            base_url=NOWHERE,
            span_exporter=NullSpanExporter(),
            **options,
        )
        return made

    return {
        "langfuse": lambda: provider_with(processor()),
        "langfuse, all spans filtered out": lambda: provider_with(processor(should_export_span=lambda _: False)),
    }


def _logfire() -> Mapping[str, MakeProvider]:
    configure = import_module("logfire").configure

    def provider(processor: SpanProcessor, **options: object) -> TracerProvider:
        configured = configure(
            local=True,
            send_to_logfire=False,
            console=False,
            metrics=False,
            inspect_arguments=False,
            additional_span_processors=[processor],
            **options,
        )
        made: TracerProvider = configured.config.get_tracer_provider()
        return made

    return {
        "logfire provider, batch(null)": lambda: provider(BatchSpanProcessor(NullSpanExporter())),
        "logfire, no scrubbing, no-op": lambda: provider(NoOpProcessor(), scrubbing=False),
    }


PEERS: Final[Mapping[str, Callable[[], Mapping[str, MakeProvider]]]] = {
    "traceloop": _traceloop,
    "openinference": _openinference,
    "langfuse": _langfuse,
    "logfire": _logfire,
}

if __name__ == "__main__":
    main()

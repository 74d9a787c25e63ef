# SPDX-License-Identifier: Apache-2.0
"""Run the collector, Prometheus, Loki, Jaeger and VictoriaMetrics until Ctrl-C, and print the URLs.

Everything listens on loopback, on the default port where it is free, else on one the system chooses. Binaries come from
tests/tools/build_otelcol.py and build_backends.py, which build them once.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.integration.backend_stack import STACK_CONFIG, Ports, running_stack
from tests.integration.backends import free_port
from tests.tools import build_otelcol
from tests.tools.build_backends import find_or_build
from tests.tools.cached_build import BuildError, end_on_sigterm, say

if TYPE_CHECKING:
    from tests.integration.backend_stack import Stack

COMMAND: Final = "python -m tests.tools.stack"
DEFAULT_PORTS: Final[Ports] = {
    "collector": {"grpc": 4317, "http": 4318, "scrape": 8889, "health": 13133, "metrics": 8888},
    "prometheus": {"http": 9090},
    "scraping": {"http": 9091},
    "victoria-metrics": {"http": 8428},
    "loki": {"http": 3100},
    "jaeger": {"http": 16686, "otlp": 14318},
}

EPILOG: Final = f"""\
example:
  {COMMAND} &
  python examples/demo.py --endpoint http://127.0.0.1:4317

exit codes: 0 ended by Ctrl-C or SIGTERM, 1 something did not start, 2 bad arguments
"""


def main() -> int:
    """Start, print the URLs, wait, stop; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=(__doc__ or "").partition("\n")[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=STACK_CONFIG, help="collector configuration (default: that for Loki 3.7)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep all data here (default: a folder that goes at the end)"
    )
    given = parser.parse_args()
    end_on_sigterm()
    try:
        with tempfile.TemporaryDirectory(prefix="agent-outcomes-stack-") as passing:
            _run(given.config.absolute(), (given.data or Path(passing)).absolute())
    except (BuildError, RuntimeError, TimeoutError) as error:
        say(f"error: {error}")
        return 1
    return 0


def _run(config: Path, folder: Path) -> None:
    ports = {name: {port: _free(number) for port, number in wanted.items()} for name, wanted in DEFAULT_PORTS.items()}
    own = ports["collector"]
    env = {
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{own['grpc']}",
        "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{own['http']}",
        "HEALTH_ENDPOINT": f"127.0.0.1:{own['health']}",
        "SELF_METRICS_PORT": str(own["metrics"]),
    }
    otelcol = build_otelcol.find_or_build()
    say("starting the collector and five backends; some seconds")
    with running_stack(find_or_build, otelcol, folder, config=config, ports=ports, env=env) as stack:
        print(_urls(stack, env), flush=True)
        _wait_for_ctrl_c()
        say("stopping")


def _free(port: int) -> int:
    """Return the port if nothing listens there, else another that is free."""
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return port
    return free_port()


def _urls(stack: Stack, env: dict[str, str]) -> str:
    rows = (
        ("agents send to", f"{stack.collector.grpc_endpoint} (gRPC), {stack.collector.http_endpoint} (HTTP)"),
        ("Prometheus, by OTLP", stack.prometheus.url),
        ("Prometheus, by scrape", f"{stack.scraping.url} (of {stack.scrape_url})"),
        ("VictoriaMetrics", f"{stack.victoria_metrics.url}/vmui/"),
        ("Loki", stack.loki.url),
        ("Jaeger", stack.jaeger.url),
        ("collector's health", f"http://{env['HEALTH_ENDPOINT']}"),
        ("data", str(stack.collector.stderr_path.parents[1])),
    )
    lines = [f"{name:22} {url}" for name, url in rows]
    return "\n".join(
        [*lines, "", f"Fill them: make demo ENDPOINT={stack.collector.grpc_endpoint}", "Ctrl-C stops everything."]
    )


def _wait_for_ctrl_c() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    sys.exit(main())

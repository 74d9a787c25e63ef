# SPDX-License-Identifier: Apache-2.0
"""A collector under test, and behind it one that takes what all its exporters send and keeps it in files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.integration.otelcol import CONFIG_FOLDER, Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def forwarding(
    otelcol: Path, folder: Path, config: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[Collector, Collector]]:
    """Run a shipped configuration, by its file's name, with its backends' endpoints at a second collector: both."""
    for name in ("sink", "tested"):
        (folder / name).mkdir()
    with Collector(otelcol, folder / "sink") as sink:
        variables = backend_endpoints(sink) | dict(env or {})
        with Collector(otelcol, folder / "tested", (CONFIG_FOLDER / config,), variables) as tested:
            yield tested, sink


def backend_endpoints(sink: Collector) -> dict[str, str]:
    """Return the environment that makes a collector stand for all backends of a configuration."""
    return {f"{name}_ENDPOINT": sink.http_endpoint for name in ("JAEGER", "LOKI", "PROMETHEUS")}

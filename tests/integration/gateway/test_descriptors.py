# SPDX-License-Identifier: Apache-2.0
"""A gateway whose process may open few files: who says nothing takes the service from nobody."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlsplit

import pytest

from agent_outcomes.gateway.serving.descriptors import KEPT_FREE
from tests.integration.gateway.served import Served

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.backends

SOFT: Final = 192
LIMITED: Final = """\
import os, resource, sys
hard = int(sys.argv[1]) or resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), hard))
os.execv(sys.argv[3], sys.argv[3:])
"""


class SoftlyLimited(Served):
    """Started with a low limit that it may raise."""

    hard: ClassVar[int] = 0
    command: ClassVar[Sequence[str]] = (sys.executable, "-c", LIMITED, "0", str(SOFT), *Served.command)


class Limited(Served):
    """Started with a low limit for good."""

    hard: ClassVar[int] = SOFT
    command: ClassVar[Sequence[str]] = (sys.executable, "-c", LIMITED, str(SOFT), str(SOFT), *Served.command)


@pytest.mark.parametrize("kind", [SoftlyLimited, Limited])
def test_silent_connections_take_the_service_from_nobody(tmp_path: Path, kind: type[SoftlyLimited | Limited]) -> None:
    """More of them than the process may open files for, at each door: requests are answered."""
    with kind(tmp_path) as gateway, ExitStack() as stack:
        for url in (gateway.url, gateway.otlp_http):
            for _ in range(SOFT + 20):
                place = (urlsplit(url).hostname, urlsplit(url).port)
                stack.enter_context(socket.create_connection(place, timeout=10))
        for number in range(3):
            recorded = gateway.ask("/v1/runs", {"agent": "bot", "run_id": f"run-{number}"})
            assert recorded.status == 201
            assert gateway.ask("/v1/totals").body["runs"] == number + 1
        told = [line["message"] for line in gateway.log() if "--connections-max" in line["message"]]
        assert len(told) == (1 if kind.hard else 0)
        assert all(f"takes {(SOFT - KEPT_FREE) // 3} connections" in text for text in told)

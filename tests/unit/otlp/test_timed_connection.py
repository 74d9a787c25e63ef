# SPDX-License-Identifier: Apache-2.0
"""Connections under one deadline: wherever it passes, nothing is left open."""

from __future__ import annotations

import gc
import socket
import warnings
from typing import TYPE_CHECKING

import pytest
import urllib3

from agent_outcomes.otlp.timed_connection import Wire, timed_pools

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Until(Wire):
    """A deadline that passes after so many looks at it."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def left_s(self) -> float:
        """Five seconds, until there are none."""
        self.looks -= 1
        if self.looks < 0:
            message = "no answer in time"
            raise TimeoutError(message)
        return 5.0


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a listener that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize("looks", range(4))
def test_a_deadline_that_passes_leaves_no_socket_open(silent: str, looks: int) -> None:
    """Before the connection is made, as soon as it is, and while an answer is waited for."""
    wire = _Until(looks)
    manager = urllib3.PoolManager(1, maxsize=1)
    manager.pool_classes_by_scheme = dict(timed_pools(wire))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(urllib3.exceptions.HTTPError):
            manager.urlopen("POST", silent, body=b"x", retries=False, timeout=0.2)
        manager.clear()
        gc.collect()
    assert [str(one.message) for one in caught] == []

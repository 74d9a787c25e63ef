# SPDX-License-Identifier: Apache-2.0
"""What senders and the doctor say of an endpoint that holds a secret, over both protocols and in every form."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.instrumentation.delivery import Delivery
from agent_outcomes.otel_variables import GRPC, HTTP, OtlpSignal
from tests.integration.doctor.doctor_command import examine

if TYPE_CHECKING:
    from collections.abc import Callable

PLANTED = "Kq7Zt2Wm9"
ENDPOINTS = [
    f"http://user:{PLANTED}@127.0.0.1:1",
    f"http://{PLANTED}@127.0.0.1:1/",
    f"http://127.0.0.1:1?key={PLANTED}",
    f"http://user:a/{PLANTED}@127.0.0.1:1",
    f"user:{PLANTED}@127.0.0.1:1",
    f"{PLANTED}@127.0.0.1:1",
    f"127.0.0.1:1?key={PLANTED}",
    f"dns:///user:{PLANTED}@127.0.0.1:1",
]


@pytest.fixture
def delivery_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Delivery]:
    def make(endpoint: str, protocol: str) -> Delivery:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        return Delivery(OtlpSignal.LOGS, protocol, f"events to {endpoint.replace(PLANTED, '***')} by {protocol}")

    return make


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_what_is_said_of_a_delivery_that_fails_holds_no_secret(
    endpoint: str, protocol: str, delivery_to: Callable[[str, str], Delivery], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what waits nor what is lost, nor the answer itself, which quotes what was dialled."""
    delivery = delivery_to(endpoint, protocol)
    with caplog.at_level(logging.DEBUG):
        answer = delivery.send(b"", time.monotonic() + 0.5)
        delivery.complain(1)
        delivery.complain_of_loss(1)
    delivery.close()
    assert PLANTED.lower() not in f"{answer.message} {caplog.text}".lower()


@pytest.mark.parametrize("endpoint", [ENDPOINTS[0], ENDPOINTS[4], ENDPOINTS[6]])
@pytest.mark.parametrize("protocol", [GRPC, HTTP])
def test_the_doctor_prints_no_secret_of_an_endpoint(endpoint: str, protocol: str) -> None:
    """With and without a scheme; and it looks for the host that is named there."""
    seen = examine({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    assert PLANTED.lower() not in (seen.stdout + seen.stderr).lower()
    assert "127.0.0.1" in seen.stdout
    assert seen.exit_code != 0

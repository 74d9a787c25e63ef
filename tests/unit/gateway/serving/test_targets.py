# SPDX-License-Identifier: Apache-2.0
"""Where a gateway sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_outcomes.gateway.serving.targets import delivery_targets, forward_targets
from agent_outcomes.gateway.settings import Address, GatewaySettings
from agent_outcomes.otel_variables import GRPC, HTTP, OtlpSignal
from agent_outcomes.settings import SettingsError

pytestmark = pytest.mark.backends


def settings(**more: object) -> GatewaySettings:
    return GatewaySettings("sqlite:///x.db", Path("/nowhere"), **more)  # type: ignore[arg-type]


def test_nothing_is_sent_unless_it_is_said_where() -> None:
    """Variables of an application's exporter send nothing."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"}
    assert delivery_targets(settings(), environ) is None
    assert forward_targets(settings(), environ) is None


@pytest.mark.parametrize(
    ("url", "environ", "protocol"),
    [
        ("http://10.0.0.1:14318", {}, HTTP),
        ("http://10.0.0.1:4317", {}, GRPC),
        ("http://10.0.0.1:9999", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, GRPC),
        ("http://10.0.0.1:4317", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, HTTP),
    ],
)
def test_the_protocol_is_that_of_the_port_or_as_the_variable_says(
    url: str, environ: dict[str, str], protocol: str
) -> None:
    """All signals go the same way, to the URL that is given, whatever endpoints the variables name."""
    environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere:1", "OTEL_METRICS_EXPORTER": "none"}
    found = delivery_targets(settings(deliver_to=url), environ)
    assert found is not None
    for target, signal in ((found.logs, "logs"), (found.metrics, "metrics"), (found.traces, "traces")):
        assert target is not None
        assert (target.protocol, target.host) == (protocol, "10.0.0.1")
        assert target.url == (f"{url}/v1/{signal}" if protocol == HTTP else target.url)
    passed_on = forward_targets(settings(forward_to=url), environ)
    assert passed_on is not None
    assert set(passed_on) == set(OtlpSignal)


@pytest.mark.parametrize("url", ["http://127.0.0.1:4318", "http://localhost:4317", "http://127.0.0.1:8321/otlp"])
def test_a_gateway_does_not_send_to_itself(url: str) -> None:
    """That would never end; the message names the option and the listener."""
    for name in ("deliver_to", "forward_to"):
        with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} .*itself listens"):
            (delivery_targets if name == "deliver_to" else forward_targets)(settings(**{name: url}), {})


def test_a_password_is_in_no_message() -> None:
    """Nor in what is said of a target."""
    given = settings(deliver_to="http://user:hunter2@127.0.0.1:4318", listen=Address("127.0.0.1", 1))
    with pytest.raises(SettingsError) as refused:
        delivery_targets(given, {})
    assert "hunter2" not in str(refused.value)

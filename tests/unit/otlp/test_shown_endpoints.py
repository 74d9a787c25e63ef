# SPDX-License-Identifier: Apache-2.0
"""What is shown of an endpoint, and blotted out of texts that repeat it: no secret, whatever form and place it has."""

from __future__ import annotations

import base64
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from agent_outcomes.otel_variables import GRPC, HTTP, GivenVariable, OtlpSignal
from agent_outcomes.otlp.endpoints import NO_URL, read_target, redacted, secrets_in, shown_url

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMES = ("", "http://", "https://", "HTTP://", "grpc://", "dns:///", "ipv4:", "//", "http:/", "http:")
HOSTS = ("127.0.0.1:1", "collector", "[::1]:4317", "collector.example:4318/v1/logs", "h:1/a/b/")
# A secret is two words and what stands between them; neither word may be seen.
FIRST, SECOND = "Kq7Zt2", "Wm9Xv4"
BETWEEN = ("", "-", ":", "/", "?", "#", "@", "%", "%40", "&", "=", ";", "@:/", " ", "ß", "[", "]")
PLACES = (
    "{scheme}user:{secret}@{host}",
    "{scheme}{secret}@{host}",
    "{scheme}{secret}:{secret}@{host}",
    "{scheme}:{secret}@{host}",
    "{scheme}{host}?key={secret}",
    "{scheme}{host}?{secret}",
    "{scheme}{host}?a=b&key={secret}#end",
    "{scheme}{host}#{secret}",
    "{scheme}user:{secret}@{host}?key={secret}",
    "{scheme}user%3A{secret}%40{host}",
)


def endpoints(place: str) -> Iterator[str]:
    """Endpoints of all forms with a secret in that place, as it is and percent-encoded."""
    for scheme, between, host in product(SCHEMES, BETWEEN, HOSTS):
        whole = f"{FIRST}{between}{SECOND}"
        for secret in {whole, quote(whole, safe="")}:
            yield place.format(scheme=scheme, secret=secret, host=host)


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_shown(place: str) -> None:
    """With a scheme and without, well formed or not."""
    for endpoint in endpoints(place):
        shown = shown_url(endpoint)
        assert FIRST not in shown, endpoint
        assert SECOND not in shown, endpoint


@pytest.mark.parametrize("place", [place for place in PLACES if "%40" not in place])
def test_a_text_that_repeats_the_endpoint_is_blotted_out(place: str) -> None:
    """As it was given, in small letters as of a host, or quoted as a part of a URL."""
    for endpoint in endpoints(place):
        secrets = secrets_in(endpoint)
        for said in (endpoint, endpoint.lower(), quote(endpoint, safe="/:?@#"), f"no such name: {endpoint}"):
            text = redacted(said, secrets).lower()
            assert FIRST.lower() not in text, endpoint
            assert SECOND.lower() not in text, endpoint


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
@pytest.mark.parametrize("scheme", ["", "http://", "https://"])
def test_a_target_knows_its_secrets(scheme: str, protocol: str) -> None:
    """Those of its endpoint and of its headers, and names its host for all that."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{scheme}{FIRST}:{SECOND}@collector:4317",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=Token Fz3Lp8",
    }
    target = read_target(OtlpSignal.LOGS, environ, GivenVariable(protocol))
    assert {FIRST, SECOND, "Fz3Lp8"} <= set(target.secrets)
    assert target.shown_endpoint == f"{scheme}collector:4317"
    assert target.shown_url.removesuffix("/v1/logs").endswith("collector:4317")
    if scheme or protocol == GRPC:
        assert (target.host, target.port) == ("collector", 4317)


@pytest.mark.parametrize(("user", "given"), [("user:Kq7Zt2", "user:Kq7Zt2"), ("user:Kq@7Zt2", "user:Kq%407Zt2")])
def test_credentials_are_blotted_out_as_the_header_that_they_become(user: str, given: str) -> None:
    """A receiver may repeat what it was sent."""
    sent = base64.b64encode(user.encode()).decode()
    assert sent not in redacted(f"bad credentials: Basic {sent}", secrets_in(f"http://{given}@collector:4318"))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:4318",
        "https://collector.example/otlp/v1/logs",
        "collector:4317",
        "localhost",
        "http://[fe80::1%25eth0]:4317",
        "[::1]:4317",
        "dns:///collector:4317",
        "unix:///run/otel.sock",
        "unix:/run/otel.sock",
        "http://collector:4318/",
    ],
)
def test_an_endpoint_without_secrets_is_shown_as_it_is(endpoint: str) -> None:
    """In whatever form, and nothing of it is taken for a secret."""
    assert shown_url(endpoint) == endpoint
    assert not secrets_in(endpoint)


@pytest.mark.parametrize(
    "endpoint", ["http://user:a/b@collector", "http://collector/tenant@x", "http://[", "a%40b", "h/x?k=a@b"]
)
def test_what_cannot_be_told_apart_is_not_shown(endpoint: str) -> None:
    """An `@` in a path looks as the end of a password that holds a slash."""
    assert shown_url(endpoint) == NO_URL


@pytest.mark.parametrize("bad", ["Authorization:Bearer Kq7Zt2", "my key=Kq7Zt2", 'key="Kq7Zt2"', "Kq7Zt2", "k=ßKq7Zt2"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_header_that_cannot_be_read_is_logged_nowhere(
    bad: str, order: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK would log it whole; those beside it are sent."""
    headers = ["X-Key=a b=c", bad, "authorization=Bearer%20token"]
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": ",".join(headers[at] for at in order)}
    target = read_target(OtlpSignal.LOGS, environ, GivenVariable(HTTP))
    assert target.headers == {"x-key": "a b=c", "authorization": "Bearer token"}
    assert not caplog.records

# SPDX-License-Identifier: Apache-2.0
"""A connection that failed for a certificate that is not trusted fails the next time, too, whatever class says so."""

from __future__ import annotations

from typing import Final

import pytest

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.error_classes import ERROR_RULES
from agent_outcomes.outcome.errors import NETWORK, UNTRUSTED
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.recorded import facts_from_recorded
from tests.chained_errors import caused, error_class

CLASSES: Final = sorted(name for rule, names in ERROR_RULES if rule is NETWORK for name in names)
_REASON: Final = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)"
# What httpx, urllib, botocore, aiohttp, urllib3 and requests, Go, Java and curl write.
MESSAGES: Final = (
    _REASON,
    f"<urlopen error {_REASON}>",
    f"SSL validation failed for https://bedrock.example/ {_REASON}",
    f"Cannot connect to host a.example:443 ssl:True [SSLCertVerificationError: (1, '{_REASON}')]",
    (
        "HTTPSConnectionPool(host='a.example', port=443): Max retries exceeded with url: /v1/messages?beta=true "
        f"(Caused by SSLError(SSLCertVerificationError(1, '{_REASON}')))"
    ),
    f"HTTPSConnectionPool(host='a', port=443): Max retries exceeded with url: / (Caused by SSLError(1, '{_REASON}'))",
    'Post "https://a.example/v1": tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
    "PKIX path building failed: unable to find valid certification path to requested target",
    "cURL error 60: SSL certificate problem: unable to get local issuer certificate",
)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_a_connection_that_failed(name: str) -> None:
    """With what any client writes of a certificate, on a span and as an object."""
    for message in MESSAGES:
        assert classify(facts_from_recorded(name, message)) == UNTRUSTED, message
        assert classify(facts_from_exception(error_class(name)(message))) == UNTRUSTED, message
    assert classify(facts_from_recorded(name, "it did not work")) == NETWORK


@pytest.mark.parametrize("name", CLASSES)
def test_causes(name: str) -> None:
    """Python's own error below it, at any depth, as its cause, its reason or what it was made of."""
    reason = error_class("ssl.SSLCertVerificationError")(1, _REASON)
    outer = error_class(name)
    with_reason = outer("it did not work")
    with_reason.reason = reason  # type: ignore[attr-defined]
    errors = (
        caused(outer("it did not work"), reason),
        caused(outer("it did not work"), caused(error_class("httpcore.ConnectError")("no"), reason)),
        with_reason,
        outer(reason),
        outer(outer(reason)),
    )
    for error in errors:
        assert classify(facts_from_exception(error)) == UNTRUSTED, repr(error)
    assert (
        classify(facts_from_exception(caused(outer("it did not work"), error_class("ssl.SSLError")(1, "x")))) == NETWORK
    )


def test_what_an_exception_is_made_of_is_its_cause() -> None:
    """If it is all that it is made of; what it says to have been raised from says more."""
    assert (
        classify(facts_from_exception(error_class("a.Failed")(error_class("openai.RateLimitError")("x")))).category
        == "rate_limit"
    )
    two = error_class("a.Failed")(error_class("openai.RateLimitError")("x"), TimeoutError())
    assert classify(facts_from_exception(two)).category == "other"
    said = caused(error_class("a.Failed")(TimeoutError()), error_class("openai.RateLimitError")("x"))
    assert classify(facts_from_exception(said)).category == "rate_limit"
    itself = error_class("a.Failed")()
    itself.args = (itself,)
    assert classify(facts_from_exception(itself)).category == "other"

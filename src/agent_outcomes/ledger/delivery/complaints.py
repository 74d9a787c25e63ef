# SPDX-License-Identifier: Apache-2.0
"""What is said about a receiver that does not take what is sent: the variable to change and how, as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.otel_variables import OTLP_PREFIX
from agent_outcomes.otlp.answers import Reason, Verdict
from agent_outcomes.otlp.endpoints import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.otlp.answers import Answer
    from agent_outcomes.otlp.endpoints import Target

FIXES: Final[Mapping[Reason, str]] = {
    Reason.REDIRECTED: "redirects are not followed; set {endpoint} to the address that takes the data itself",
    Reason.UNAUTHENTICATED: "give the receiver's credentials in {headers} (name=value, percent-encoded)",
    Reason.FORBIDDEN: "the credentials in {headers} do not allow this; look at the account's rights and limits",
    Reason.NO_SUCH_PATH: "nothing takes this signal there; correct {endpoint}, or set {protocol} to what it speaks",
    Reason.UNSUPPORTED: "it does not take this form; look at {protocol}, {compression} and {headers}",
    Reason.NOT_OTLP: "what answers is no OTLP receiver; correct {endpoint}",
    Reason.REPLY_TOO_LARGE: "what answers is no OTLP receiver; correct {endpoint}",
    Reason.UNTRUSTED: "name the authority that signed its certificate in {certificate}, or use its right host name",
    Reason.CANNOT_SEND: "correct the variable that this names",
}


def said_of(target: Target, answer: Answer) -> str:
    """One sentence about an answer that left something undelivered, without secrets."""
    words = f": {answer.message!r}" if answer.message else ""
    said = f"{target.said_endpoint} answered {answer.reason.value}{words}"
    if answer.verdict is Verdict.MISCONFIGURED:
        said = f"{said}. To mend it: {_fix(target, answer.reason)}"
    return redacted(said, target.secrets)


def _fix(target: Target, reason: Reason) -> str:
    return FIXES[reason].format(
        endpoint=target.endpoint_variable,
        headers=target.headers_variable,
        protocol=target.protocol_variable or f"{OTLP_PREFIX}PROTOCOL",
        compression=f"{OTLP_PREFIX}COMPRESSION",
        certificate=target.ca_file.variable or f"{OTLP_PREFIX}CERTIFICATE",
    )

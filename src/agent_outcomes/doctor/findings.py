# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at, layer by layer along the way of an outcome, and what it says of each. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


class Layer(StrEnum):
    """The layers, in the order in which an outcome passes them."""

    SETTINGS = "settings"
    COMMAND = "command"
    PROVIDER = "provider"
    PROCESSOR = "processor"
    SAMPLING = "sampling"
    OUTPUTS = "outputs"
    RUNS = "runs"
    OUTCOMES = "outcomes"
    LEDGER = "ledger"
    GATEWAY = "gateway"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    PROTOCOL = "protocol"
    REDIRECT = "redirect"
    AUTH = "auth"
    PATH = "path"
    PIPELINE = "pipeline"
    ANSWER = "answer"
    CLOCK = "clock"
    REJECTED = "rejected"


INSTALL_ZERO_CODE: Final = "pip install 'otel-agent-outcomes[zero-code]'"
APP_LAYERS: Final = (
    Layer.COMMAND,
    Layer.PROVIDER,
    Layer.PROCESSOR,
    Layer.SAMPLING,
    Layer.OUTPUTS,
    Layer.RUNS,
    Layer.OUTCOMES,
)
NETWORK_LAYERS: Final = (
    Layer.DNS,
    Layer.CONNECT,
    Layer.TLS,
    Layer.PROTOCOL,
    Layer.REDIRECT,
    Layer.AUTH,
    Layer.PATH,
    Layer.PIPELINE,
    Layer.ANSWER,
    Layer.CLOCK,
    Layer.REJECTED,
)

EXIT_CODES: Final[Mapping[Layer, int]] = {
    Layer.SETTINGS: 10,
    Layer.COMMAND: 11,
    Layer.PROVIDER: 12,
    Layer.PROCESSOR: 13,
    Layer.SAMPLING: 14,
    Layer.OUTPUTS: 15,
    Layer.RUNS: 16,
    Layer.OUTCOMES: 17,
    Layer.LEDGER: 18,
    Layer.GATEWAY: 19,
    Layer.DNS: 20,
    Layer.CONNECT: 21,
    Layer.TLS: 22,
    Layer.PROTOCOL: 23,
    Layer.REDIRECT: 24,
    Layer.AUTH: 25,
    Layer.PATH: 26,
    Layer.PIPELINE: 27,
    Layer.ANSWER: 28,
    Layer.CLOCK: 29,
    Layer.REJECTED: 30,
}

MEANINGS: Final[Mapping[Layer, str]] = {
    Layer.SETTINGS: "AGENT_OUTCOMES_* and OTEL_* variables have values that can be used",
    Layer.COMMAND: "the command given after -- runs, and is a Python program",
    Layer.PROVIDER: "the program sets a tracer provider",
    Layer.PROCESSOR: "AgentOutcomeSpanProcessor is attached to it, once",
    Layer.SAMPLING: "no sampler drops runs",
    Layer.OUTPUTS: "there are a logger and a meter provider to take events and metrics",
    Layer.RUNS: "spans are seen, and one of them is an agent's",
    Layer.OUTCOMES: "every run's outcome is handed over",
    Layer.LEDGER: "the ledger, if any, opens and can be written, and what it holds is delivered",
    Layer.GATEWAY: "the gateway that reports go to, if any, answers, is ready and takes our key",
    Layer.DNS: "the endpoint's host name resolves",
    Layer.CONNECT: "something listens on its port",
    Layer.TLS: "both sides speak TLS, with a certificate that can be trusted, or neither does",
    Layer.PROTOCOL: "both sides speak gRPC, or both HTTP",
    Layer.REDIRECT: "the receiver does not send elsewhere",
    Layer.AUTH: "the receiver lets us in",
    Layer.PATH: "the URL's path is one that takes OTLP",
    Layer.PIPELINE: "the receiver takes traces, logs and metrics",
    Layer.ANSWER: "the receiver accepts the request",
    Layer.CLOCK: "this machine's clock and the receiver's agree",
    Layer.REJECTED: "the receiver keeps what it accepted",
}


class LayerState(StrEnum):
    """What was found out about a layer."""

    OK = "ok"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class LayerFinding:
    """What was seen of one layer and, where it is broken, why that matters and what to change.

    `fix` is for people; `variable` is the environment variable or line that it names, and `value` what to set it to
    where that is known exactly (an empty text: unset it). Whatever others have put into a text is printable: `seen`,
    `variable` and `value` are one line each, and lines of `fix` that begin with a blank can be pasted into a shell.
    """

    layer: Layer
    state: LayerState
    seen: str
    why: str = ""
    fix: str = ""
    variable: str = ""
    value: str | None = None


def ok(layer: Layer, seen: str) -> LayerFinding:
    """A layer that works."""
    return LayerFinding(layer, LayerState.OK, printable(seen))


def skipped(layer: Layer, because: str) -> LayerFinding:
    """A layer that could not be looked at."""
    return LayerFinding(layer, LayerState.SKIPPED, printable(because))


def failed(
    layer: Layer, seen: str, *, why: str, fix: str, variable: str = "", value: str | None = None
) -> LayerFinding:
    """A broken layer."""
    return LayerFinding(
        layer,
        LayerState.FAIL,
        printable(seen),
        why,
        # Its own line ends are those of the text around it: what is put into it has none.
        "\n".join(map(printable, fix.split("\n"))),
        printable(variable),
        None if value is None else printable(value),
    )


def export_line(variable: str, value: str) -> str:
    """A shell line to copy, which sets the variable and does nothing else, whatever is in the value."""
    return f"  export {_pasted(variable)}={_pasted(value)}"


def unset_line(variable: str) -> str:
    """A shell line to copy, which removes the variable and does nothing else."""
    return f"  unset {_pasted(variable)}"


def _pasted(text: str) -> str:
    return shlex.quote(printable(text))

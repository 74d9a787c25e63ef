# SPDX-License-Identifier: Apache-2.0
"""What a class means where its own message says more than its row, or another thing.

Data, and its look-up. The same words of another class say nothing: that a file `is not valid JSON` may be a customer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.error_names import segment_of
from agent_outcomes.outcome.errors import (
    BAD_REQUEST,
    BUG,
    INVALID_OUTPUT,
    NETWORK,
    POLICY,
    TIMEOUT,
    TRUNCATED,
    Classification,
)
from agent_outcomes.outcome.name_words import SUCCESSORS
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

_Forms = tuple[tuple[Pattern, Classification], ...]

# h11 and h2 refuse so what comes too late for a connection that the other side has closed.
_LATE: Final[_Forms] = ((Pattern(r"Invalid input .+ in state |Can't send data when our state is "), NETWORK),)

# By class and by the roots of the packages that have it; JavaScript's have none.
CLASS_MESSAGES: Final[Mapping[str, tuple[tuple[str, ...], _Forms]]] = {
    # What `AbortSignal.timeout()` has for its reason in Node.js and in browsers, within the error of who heeded it.
    "AbortError": (
        (),
        ((Pattern(r"(?:[\w ]{1,60}: )?(?:The operation was aborted due to timeout|signal timed out)\.?$"), TIMEOUT),),
    ),
    # JSON.parse in V8, Firefox, Safari and Bun: a model's answer, or a web page where JSON was to be.
    "SyntaxError": (
        (),
        (
            (Pattern(r"[\s\S]{1,300}? (?:in|after) JSON at position \d+"), INVALID_OUTPUT),
            (Pattern(r"[\s\S]{1,300} is not valid JSON$"), INVALID_OUTPUT),
            (Pattern(r"Unexpected end of JSON input|JSON\.parse: |JSON Parse error: "), INVALID_OUTPUT),
        ),
    ),
    # `_agent_graph.py`: "Don't retry if the model returned an empty response because the token limit was exceeded".
    "UnexpectedModelBehavior": (
        ("pydantic_ai",),
        (
            (Pattern(r"Model token limit \([^)]*\) exceeded"), TRUNCATED),
            (Pattern(r"Content filter triggered"), POLICY),
        ),
    ),
    # `subprocess_cli.py` and `client.py`: there is no network between an SDK and its CLI.
    "CLIConnectionError": (
        ("claude_agent_sdk", "claude_code_sdk"),
        (
            (Pattern(r"Working directory does not exist"), BAD_REQUEST),
            (Pattern(r"Not connected\. Call connect\(\) first"), BUG),
        ),
    ),
    "LocalProtocolError": (("httpx", "httpcore", "h11"), _LATE),
}


def rule_of_message(name: str, text: str) -> Classification | None:
    """What the message of this class says that the class does not."""
    roots, forms = CLASS_MESSAGES.get(segment_of(name), ((), ()))
    root, dot, _ = name.partition(".")
    if dot and SUCCESSORS.get(root, root) not in roots:
        return None
    return next((rule for form, rule in forms if form.match(text) is not None), None)

# SPDX-License-Identifier: Apache-2.0
"""What the fake provider reads from a request and says in a response in Anthropic's wire format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.frameworks.model_answers import Call, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.model_answers import Answer, Response
    from tests.frameworks.model_server import Charge

_PATH: Final = "/messages"
_TYPES: Final[Mapping[int, str]] = {429: "rate_limit_error", 503: "api_error"}


def is_anthropic(path: str) -> bool:
    """Whether the request is one to Anthropic."""
    return path.partition("?")[0].endswith(_PATH)


def read_call(request: Mapping[str, Any]) -> Call:
    """Read a request to `/v1/messages`."""
    said = json.dumps(request.get("messages") or [])
    return Call(
        is_responses=False,
        is_streamed=bool(request.get("stream")),
        model=request["model"],
        tools=tuple(Tool(one["name"], one.get("input_schema") or {}) for one in request.get("tools") or []),
        has_tool_result='"tool_result"' in said,
        output_schema=None,
        said=said,
    )


def response_body(call: Call, answer: Answer, charge: Charge, number: int) -> Response:
    """A response of `/v1/messages`: here cached tokens are counted beside the input, and not as a part of it."""
    block: dict[str, Any] = {"type": "text", "text": answer.text}
    if answer.tool:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": answer.tool, "input": answer.arguments}
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [block],
        "stop_reason": "tool_use" if answer.tool else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": charge.input_tokens - charge.cached_tokens,
            "cache_read_input_tokens": charge.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": charge.output_tokens,
        },
    }
    if call.is_streamed:
        return 200, "text/event-stream", "".join(_event(event) for event in _events(message, block)).encode()
    return 200, "application/json", json.dumps(message).encode()


def _events(message: Mapping[str, Any], block: Mapping[str, Any]) -> list[dict[str, Any]]:
    is_tool = block["type"] == "tool_use"
    begun = {**block, "input": {}} if is_tool else {**block, "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        if is_tool
        else {"type": "text_delta", "text": block["text"]}
    )
    usage: Mapping[str, int] = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": begun},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": usage["output_tokens"]},
        },
        {"type": "message_stop"},
    ]


def _event(event: Mapping[str, Any]) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def error_body(status: int) -> Response:
    """An error as Anthropic words it."""
    error = {"type": _TYPES[status], "message": f"the fake provider says {status}"}
    return status, "application/json", json.dumps({"type": "error", "error": error}).encode()

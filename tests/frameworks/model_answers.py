# SPDX-License-Identifier: Apache-2.0
"""What the fake provider reads from a request and says in a response, in both of OpenAI's wire formats."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.model_server import Charge

Response = tuple[int, str, bytes]
"""HTTP status, content type and body."""

CREATED_S: Final = 1_760_000_000
_FILLING: Final[Mapping[object, object]] = {"integer": 1, "number": 1.0, "boolean": False, "array": [], "object": {}}
_TOOL_RESULTS: Final = ('"role": "tool"', "function_call_output", "tool-response", "Observation:")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call, with the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, Any]

    def arguments(self, given: Mapping[str, object]) -> dict[str, object]:
        """Arguments that fit the schema: what is given by name, else `Paris` for every text."""
        known = self.schema.get("properties") or {}
        return {**filled(self.schema), **{name: value for name, value in given.items() if name in known}}


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the model."""

    is_responses: bool
    is_streamed: bool
    model: str
    tools: tuple[Tool, ...]
    has_tool_result: bool
    output_schema: Mapping[str, Any] | None
    said: str = ""

    @classmethod
    def read(cls, path: str, request: Mapping[str, Any]) -> Call:
        """Read a request to `/chat/completions` or `/responses`."""
        is_responses = path.endswith("/responses")
        items = request.get("input" if is_responses else "messages") or []
        said = [item for item in items if not isinstance(item, dict) or item.get("role") not in ("system", "developer")]
        blob = json.dumps(said)
        declared = [tool if is_responses else tool.get("function", {}) for tool in request.get("tools") or []]
        named = [tool for tool in declared if "name" in tool]
        return cls(
            is_responses=is_responses,
            is_streamed=bool(request.get("stream")),
            model=request.get("model", "unknown"),
            tools=tuple(Tool(tool["name"], tool.get("parameters") or {}) for tool in named),
            has_tool_result=any(mark in blob for mark in _TOOL_RESULTS),
            output_schema=_output_schema(request, is_responses=is_responses),
            said=blob,
        )

    def structured_text(self) -> str | None:
        """JSON text that fits the schema the caller asks the answer to have, `None` if it asks for none."""
        return None if self.output_schema is None else json.dumps(filled(self.output_schema))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: a text, or a call of a tool."""

    text: str | None = None
    tool: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)


def filled(schema: Mapping[str, Any]) -> dict[str, object]:
    """An object that fits the JSON schema, as far as flat tools need it."""
    properties = schema.get("properties") or {}
    wanted = schema.get("required") or list(properties)
    return {name: _FILLING.get(properties.get(name, {}).get("type"), "Paris") for name in wanted}


def chat_body(call: Call, answer: Answer, charge: Charge, number: int) -> Response:
    """A response of `/chat/completions`."""
    finish = "tool_calls" if answer.tool else "stop"
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.tool:
        function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    usage = {
        "prompt_tokens": charge.input_tokens,
        "completion_tokens": charge.output_tokens,
        "total_tokens": charge.input_tokens + charge.output_tokens,
        "prompt_tokens_details": {"cached_tokens": charge.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": charge.reasoning_tokens},
    }
    base = {"id": f"chatcmpl-{number}", "created": CREATED_S, "model": call.model}
    if not call.is_streamed:
        choice = {"index": 0, "finish_reason": finish, "logprobs": None, "message": message}
        return _json({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
    for position, tool_call in enumerate(message.get("tool_calls", ())):
        tool_call["index"] = position
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {"choices": [], "usage": usage},
    ]
    lines = [f"data: {json.dumps({**base, 'object': 'chat.completion.chunk', **chunk})}\n\n" for chunk in chunks]
    return 200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode()


def responses_body(call: Call, answer: Answer, charge: Charge, number: int) -> Response:
    """A response of `/responses`."""
    item = _output_item(answer, number)
    response: dict[str, Any] = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED_S,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": call.model,
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": charge.input_tokens,
            "output_tokens": charge.output_tokens,
            "total_tokens": charge.input_tokens + charge.output_tokens,
            "input_tokens_details": {"cached_tokens": charge.cached_tokens, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": charge.reasoning_tokens},
        },
    }
    if not call.is_streamed:
        return _json(response)
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    lines = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': position})}\n\n"
        for position, event in enumerate(events)
    ]
    return 200, "text/event-stream", "".join(lines).encode()


def _output_item(answer: Answer, number: int) -> dict[str, Any]:
    if answer.tool:
        return {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": answer.tool,
            "arguments": json.dumps(answer.arguments),
            "status": "completed",
        }
    content: list[dict[str, Any]] = [{"type": "output_text", "text": answer.text, "annotations": []}]
    return {
        "type": "message",
        "id": f"msg_{number}",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


def _output_schema(request: Mapping[str, Any], *, is_responses: bool) -> Mapping[str, Any] | None:
    stated = (request.get("text") or {}).get("format") if is_responses else request.get("response_format")
    if not isinstance(stated, dict) or stated.get("type") != "json_schema":
        return None
    schema = (stated if is_responses else stated.get("json_schema") or {}).get("schema")
    return schema if isinstance(schema, dict) else {}


def _json(body: dict[str, Any]) -> Response:
    return 200, "application/json", json.dumps(body).encode()

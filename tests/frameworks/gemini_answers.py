# SPDX-License-Identifier: Apache-2.0
"""What the fake provider reads from a request and says in a response in Gemini's wire format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.frameworks.model_answers import Call, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.model_answers import Answer, Response
    from tests.frameworks.model_server import Charge

_METHODS: Final = (":generateContent", ":streamGenerateContent")
_STATUSES: Final[Mapping[int, str]] = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


def is_gemini(path: str) -> bool:
    """Whether the request is one to Gemini."""
    return path.partition("?")[0].endswith(_METHODS)


def read_call(path: str, request: Mapping[str, Any]) -> Call:
    """Read a request to `models/MODEL:generateContent`."""
    declared = [one for tool in request.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    parts = [part for content in request.get("contents") or [] for part in content.get("parts") or []]
    config = request.get("generationConfig") or {}
    return Call(
        is_responses=False,
        is_streamed="alt=sse" in path,
        model=path.partition(":")[0].rpartition("/")[2],
        tools=tuple(Tool(one["name"], _schema(one)) for one in declared),
        has_tool_result=any("functionResponse" in part for part in parts),
        output_schema=config.get("responseJsonSchema") or config.get("responseSchema"),
    )


def _schema(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = (
        declared.get("parametersJsonSchema")
        or declared.get("parameters_json_schema")
        or declared.get("parameters")
        or {}
    )
    return schema


def response_body(call: Call, answer: Answer, charge: Charge, number: int) -> Response:
    """A response of `generateContent`: here reasoning is counted beside the answer, and not as a part of it."""
    part: dict[str, Any] = {"text": answer.text}
    if answer.tool:
        part = {"functionCall": {"id": f"call_{number}", "name": answer.tool, "args": answer.arguments}}
    response = {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": charge.input_tokens,
            "cachedContentTokenCount": charge.cached_tokens,
            "candidatesTokenCount": charge.output_tokens - charge.reasoning_tokens,
            "thoughtsTokenCount": charge.reasoning_tokens,
            "totalTokenCount": charge.input_tokens + charge.output_tokens,
        },
        "modelVersion": call.model,
        "responseId": f"response_{number}",
    }
    if call.is_streamed:
        return 200, "text/event-stream", f"data: {json.dumps(response)}\n\n".encode()
    return 200, "application/json", json.dumps(response).encode()


def error_body(status: int) -> Response:
    """An error as Google's services word it."""
    error = {"code": status, "message": f"the fake provider says {status}", "status": _STATUSES[status]}
    return status, "application/json", json.dumps({"error": error}).encode()

# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document, made of the operations and of the structs that they read and answer with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from agent_outcomes._version import __version__
from agent_outcomes.gateway.http_api.operations import ADAPTERS, JSON_TYPE, AnswerKind, Operation
from agent_outcomes.gateway.http_api.problems import PROBLEM_JSON, ProblemAnswer, RequestCode
from agent_outcomes.ledger.book.refusals import RefusalCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    Document = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{name}"
_ALWAYS: Final = (401, 403, 429, 500, 503)
_PASSING: Final = frozenset({429, 503})
_REFUSALS: Final = {
    400: "The body is no JSON, or not of the form that is taken.",
    401: "No valid key.",
    403: "The key lacks the right, or the run is another agent's.",
    404: "No such run has arrived.",
    409: "Another outcome stands, or several runs match.",
    412: "The outcome has another revision.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken.",
    422: "A field or parameter cannot be taken; each is named.",
    429: "This key has sent too many requests.",
    500: "The gateway failed.",
    503: "The ledger is away, or too many requests are under way.",
}
_HEADERS: Final[dict[str, Document]] = {
    "idempotency-key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes a repeat safe: the first answer is given again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    },
    "if-match": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the revision that is reported on, or several of which one stands.",
        "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,9}"(, "[0-9]{1,9}"){0,15})$'},
    },
}
_ANSWER_HEADERS: Final[dict[str, Document]] = {
    "etag": {"description": "The standing revision.", "schema": {"type": "string"}},
    "location": {"description": "Where the run is told of.", "schema": {"type": "string"}},
    "retry-after": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
}
_PATH_PARAMETERS: Final = {
    "id": "An outcome id, a trace id, or `run_id:` and your own key of the run.",
    "trace_id": "The id of the trace.",
}
_GROUPS: Final = (
    ("reports", "Late outcomes and costs"),
    ("runs", "Runs and their outcomes"),
    (ADAPTERS, "The shapes of other systems"),
)


def openapi_document(operations: Iterable[Operation]) -> Document:
    """The document; equal operations give an equal one."""
    listed = tuple(operations)
    paths: dict[str, Document] = {}
    for operation in listed:
        paths.setdefault(_shown_path(operation.path), {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Agent outcomes",
            "version": __version__,
            "summary": "Did the agent do its job? Outcomes of agent runs: reported, corrected, read.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {"apiKey": []}, {}],
        "tags": [{"name": name, "description": description} for name, description in _GROUPS],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": _schemas(listed),
        },
    }


def encoded_document(operations: Iterable[Operation]) -> bytes:
    """The document as JSON, in the one form."""
    return msgspec.json.format(msgspec.json.encode(openapi_document(operations), order="deterministic"), indent=2)


def _operation(operation: Operation) -> Document:
    made: Document = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the right to {operation.right.value}.",
        "tags": [operation.group],
        "responses": _responses(operation),
    }
    if operation.method == "POST" and operation.group != ADAPTERS:
        made["description"] += " A repeat without an idempotency key may be taken twice."
    parameters = [*_path_parameters(operation), *_query_parameters(operation), *map(_HEADERS.get, operation.headers)]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        schema = {"$ref": _TEMPLATE.format(name=operation.body.__name__)}
        made["requestBody"] = {"required": operation.body_is_needed, "content": {JSON_TYPE: {"schema": schema}}}
    return made


def _responses(operation: Operation) -> Document:
    made = {str(answer.status): _answer(answer) for answer in operation.answers}
    is_own = operation.problem is ProblemAnswer
    problem = {"$ref": _TEMPLATE.format(name=operation.problem.__name__)}
    for status in sorted({*_ALWAYS, *operation.refusals}):
        refusal: Document = {
            "description": _REFUSALS[status],
            "content": {PROBLEM_JSON if is_own else JSON_TYPE: {"schema": problem}},
        }
        if status in _PASSING:
            refusal["headers"] = {"Retry-After": _ANSWER_HEADERS["retry-after"]}
        made[str(status)] = refusal
    return made


def _answer(answer: AnswerKind) -> Document:
    made: Document = {"description": answer.description}
    if answer.headers:
        made["headers"] = {name.title(): _ANSWER_HEADERS[name] for name in answer.headers}
    if answer.body is not None:
        schema: Document = {"$ref": _TEMPLATE.format(name=answer.body.__name__)}
        made["content"] = {kind: {"schema": schema} for kind in answer.media_types}
    elif answer.media_types:
        made["content"] = {kind: {"schema": {"type": "string"}} for kind in answer.media_types}
    return made


def _path_parameters(operation: Operation) -> list[Document]:
    names = [part.strip("{}").partition(":")[0] for part in operation.path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1}
    return [
        {"name": name, "in": "path", "required": True, "description": _PATH_PARAMETERS[name], "schema": schema}
        for name in names
    ]


def _query_parameters(operation: Operation) -> list[Document]:
    if operation.query is None:
        return []
    properties = msgspec.json.schema(operation.query)["$defs"][operation.query.__name__]["properties"]
    return [{"name": name, "in": "query", **_without_null(schema)} for name, schema in properties.items()]


def _without_null(schema: Document) -> Document:
    """A parameter that is given is never null."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    plain = {name: value for name, value in kinds[0].items() if name != "description"}
    if "default" in schema and schema["default"] is not None:
        plain["default"] = schema["default"]
    return {"description": kinds[0].get("description", ""), "schema": plain}


def _schemas(operations: tuple[Operation, ...]) -> Document:
    structs: dict[str, type[msgspec.Struct]] = {}
    for operation in operations:
        of_answers = (answer.body for answer in operation.answers)
        for struct in (operation.body, operation.problem, *of_answers):
            if struct is not None:
                structs[struct.__name__] = struct
    _, schemas = msgspec.json.schema_components(
        [structs[name] for name in sorted(structs)], ref_template="#/components/schemas/{name}"
    )
    codes = sorted({*map(str, RefusalCode), *map(str, RequestCode)})
    schemas["ProblemAnswer"]["properties"]["code"] = {"type": "string", "enum": codes}
    return schemas


def _shown_path(path: str) -> str:
    """The path without Starlette's kinds of parameters."""
    return path.replace(":key}", "}")

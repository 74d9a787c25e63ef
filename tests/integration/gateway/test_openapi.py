# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: what is served, what is committed, and what the API does are one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.http_api.openapi import openapi_document
from agent_outcomes.gateway.http_api.recording import RecordBody
from agent_outcomes.gateway.http_api.report_shapes import CostBody, NamedReportBody, ReportBody, RetractionBody
from agent_outcomes.gateway.signals.records import RUN_RECORD_FIELDS
from agent_outcomes.ledger.book.reading import CostFields, NamedRun, ReportFields
from agent_outcomes.ledger.keys import Right, create_key
from tests.acceptances import pending
from tests.gateway_api import api_of
from tests.tools.generate_openapi import COPY, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

REFERENCE = set(NamedRun.__annotations__) - {"run"}
# Bodies are judged by the ledger, which takes less than their types allow, and says so in words: that a random body of
# the right types is refused is no fault.
LEFT_OUT = {"positive_data_acceptance"}
# Each report of a batch has its own answer: one that cannot be read does not keep the others from being taken.
JUDGED_ONE_BY_ONE = {"reportOutcomes": {"negative_data_rejection"}}


def test_the_committed_copy_is_what_is_served(kept: Store) -> None:
    assert document() == COPY.read_bytes(), "run python -m tests.tools.generate_openapi"
    with api_of(kept) as url:
        served = httpx.get(timeout=60.0, url=f"{url}/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.content + b"\n" == document()


def test_the_schemas_have_the_fields_that_are_read() -> None:
    """Bodies are read by the ledger: what it takes is what is told."""
    own = {"correct"}
    assert set(ReportBody.__struct_fields__) == set(ReportFields.__annotations__) - REFERENCE | own
    assert set(NamedReportBody.__struct_fields__) == set(ReportFields.__annotations__) | own
    assert set(CostBody.__struct_fields__) == set(CostFields.__annotations__) - REFERENCE
    assert set(RetractionBody.__struct_fields__) < set(ReportFields.__annotations__)
    assert set(RecordBody.__struct_fields__) == set(RUN_RECORD_FIELDS)


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    made = openapi_document(OPERATIONS)
    schemas = made["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
        assert schema["description"]

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for inner in node.values():
                yield from references(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from references(inner)

    used = set(references(made))
    assert used == {f"#/components/schemas/{name}" for name in schemas}
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_random_requests_get_documented_answers(kept: Store) -> None:
    """Made from the document, right ones and wrong ones: never a failure, never an answer that it does not tell of."""
    kept.accept([pending(number, run_id=f"r{number}") for number in range(1, 6)])
    headers = {"Authorization": f"Bearer {create_key(kept, 'all', rights=[Right.ADMIN])[1]}"}
    with api_of(kept) as url:
        schema = schemathesis.openapi.from_dict(openapi_document(OPERATIONS))
        schema.config.update(base_url=url)
        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            left_out = LEFT_OUT | JUDGED_ONE_BY_ONE.get(operation.definition.raw["operationId"], set())
            checks = [check for check in CHECKS.get_all() if check.__name__ not in left_out]
            for mode in schemathesis.GenerationMode:
                _asked(operation.as_strategy(generation_mode=mode), headers, checks)


def _asked(strategy: Any, headers: dict[str, str], checks: list[Any]) -> None:
    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=checks)

    ask()

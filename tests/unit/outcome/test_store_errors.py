# SPDX-License-Identifier: Apache-2.0
"""Errors of databases and message brokers: the codes that their clients keep, and numbers that are none of theirs."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.store_codes import DB_SYSTEMS, STORE_FORMS, STORE_PATHS, STORE_RULES_BY_CODE
from agent_outcomes.outcome.vendor_codes import SQLSTATE_RULES
from agent_outcomes.run.protocol_statuses import protocol_status
from tests.chained_errors import error_class
from tests.unit.outcome.test_error_texts import ROWS

if TYPE_CHECKING:
    from pathlib import Path

    from agent_outcomes.outcome.errors import Classification

RULES = {**STORE_RULES_BY_CODE, **SQLSTATE_RULES}
CODES = [code.split(" ") for code in STORE_RULES_BY_CODE]
# By the first package of each client that keeps numbers, and where it does.
KEPT = {
    **dict.fromkeys(("pymysql.err", "asyncmy.errors", "MySQLdb", "_mysql_exceptions"), ("MySQL", None)),
    **dict.fromkeys(("mysql.connector.errors", "mariadb"), ("MySQL", "errno")),
    "pymongo.errors": ("MongoDB", "code"),
    **dict.fromkeys(("pika.exceptions", "amqp.exceptions"), ("AMQP", "reply_code")),
}


def held(package: str, number: int, path: str | None) -> BaseException:
    """A client's error of no row, with that number where the client has it."""
    made = error_class(f"{package}.SomeError", **({path: number} if path else {}))
    return made(number, "secret") if path is None else made("secret")


def told(error: BaseException) -> Classification:
    return classify(facts_from_exception(error))


@pytest.mark.parametrize("package", KEPT)
def test_numbers_that_a_client_keeps(package: str) -> None:
    """Each is judged by the table of its own store, also through a wrapper; another number says nothing."""
    store, path = KEPT[package]
    numbers = {int(code) for of, code in CODES if of == store and code.isdigit()}
    assert numbers
    for number in (*numbers, 7777, 0):
        error = held(package, number, path)
        wrapper = error_class("shop.Failed")("secret")
        wrapper.__cause__ = error
        expected = RULES.get(f"{store} {number}")
        for one in (error, wrapper):
            found = told(one)
            assert found == expected if expected is not None else found.category == "other", number


@pytest.mark.parametrize("path", ["errno", "code", "reply_code", None])
def test_numbers_of_others(path: str | None) -> None:
    """The same number on an error of any other library may count anything."""
    for number in (1213, 1045, 2006, 112, 18, 320, 11000):
        assert told(held("shop.errors", number, path)).category == "other"


def test_every_path_has_a_client() -> None:
    """A place that is added without a client here fails."""
    for of, store, path in STORE_PATHS:
        assert any(of.match(f"{package}.") for package, kept in KEPT.items() if kept == (store, path))


class KafkaError:
    """As librdkafka's Python client gives it to its exceptions."""

    __module__ = "cimpl"

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        """The code's name."""
        return self._name


@pytest.mark.parametrize("code", [code for store, code in CODES if store == "Kafka"])
@pytest.mark.parametrize("name", ["cimpl.KafkaException", "confluent_kafka.error.ProduceError", "shop.PublishFailed"])
def test_librdkafka(code: str, name: str) -> None:
    """The error in the exception tells, whatever has been made of it."""
    expected = RULES[f"Kafka {code}"]
    assert told(error_class(name)(KafkaError(code))) == expected
    text = f'KafkaError{{code={code},val=-1,str="x"}}'
    assert classify(facts_from_recorded(name, text)) == expected


@pytest.mark.parametrize("code", ["_FATAL", "UNKNOWN", "", None, 5])
def test_librdkafkas_others(code: Any) -> None:
    """A code of no row, or none at all, is unknown."""
    assert told(error_class("cimpl.KafkaException")(KafkaError(code))).retryable is None


@pytest.mark.parametrize("code", CODES, ids=" ".join)
def test_of_a_database(code: tuple[str, str]) -> None:
    """What a span carries by OpenTelemetry's conventions for databases, by their new key and by the old."""
    store, number = code
    systems = [system for system, of in DB_SYSTEMS.items() if of == store]
    for system in systems:
        for key in ("db.system.name", "db.system"):
            found = protocol_status({key: system, "db.response.status_code": number})
            assert found == (RULES[f"{store} {number}"], "db.response.status_code", f"{store} {number}")
    for attributes in (
        {"db.response.status_code": number},
        {"db.response.status_code": number, "db.system.name": "cassandra"},
        {"db.response.status_code": [number], "db.system.name": "mysql"},
        {"db.response.status_code": number, "db.system.name": ["mysql"]},
    ):
        assert protocol_status(attributes) is None


def test_of_postgresql() -> None:
    """A code of the SQL standard is PostgreSQL's."""
    found = protocol_status({"db.system.name": "postgresql", "db.response.status_code": "40P01"})
    assert found is not None
    assert found[0].category == "transient"


def test_every_form_has_an_example() -> None:
    """A form that is added without a message among the texts fails."""
    parts = [text[start:] for _, _, text in ROWS for start in (0, *(text.find(sign) + 2 for sign in (") ", ": ")))]
    for one in STORE_FORMS:
        assert any(one.form.match(part) for part in parts), one.form.pattern


def sqlite_error(folder: Path, statement: str) -> sqlite3.Error:
    """What SQLite itself raises for a statement beside one that holds the database."""
    path = folder / "orders.db"
    with sqlite3.connect(path) as made:
        made.execute("create table orders (id integer primary key)")
        made.execute("insert into orders values (1)")
    made.close()
    holder, other = sqlite3.connect(path), sqlite3.connect(path, timeout=0)
    try:
        if "9" in statement:
            holder.execute("begin exclusive")
        other.execute(statement)
    except sqlite3.Error as error:
        return error
    finally:
        holder.close()
        other.close()
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("insert into orders values (9)", ("transient", True)),
        ("insert into orders values (1)", ("bad_request", False)),
        ("select * from nowhere", ("other", None)),
    ],
)
def test_sqlite(tmp_path: Path, statement: str, expected: tuple[str, bool | None]) -> None:
    """A locked database may be free later, a row that is there stays there: by the object, and by what a span has."""
    error = sqlite_error(tmp_path, statement)
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    for facts in (facts_from_exception(error), facts_from_recorded(name, str(error))):
        found = classify(facts)
        assert (found.category, found.retryable) == expected

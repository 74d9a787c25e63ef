# SPDX-License-Identifier: Apache-2.0
"""The retryability table's codes of databases and message brokers, and where a message or an object has one.

A number says nothing by itself: each is looked up behind the name of what it is a code of (`MySQL 1213`), as those of
the SQL standard are. Sources: MySQL's "Server" and "Client Error Message Reference" and MariaDB's codes beside them;
librdkafka's `rd_kafka_err2str` and Kafka's protocol guide, whose retriable errors are marked; MongoDB's
`error_codes.yml` and its drivers' "Retryable Writes"; AMQP 0-9-1, "Reply codes"; the prefixes of Redis' errors; "Result
and Error Codes" of SQLite. What the same code is given for different reasons has no row: a query that was killed (MySQL
1317), a disk that fails (`SQLITE_IOERR`), a topic that may only be new (`UNKNOWN_TOPIC_OR_PART`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    NETWORK,
    NOT_FOUND,
    RATE_LIMIT,
    TIMEOUT,
    TRANSIENT,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.vendor_codes import SQLSTATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MYSQL: Final = "MySQL"
KAFKA: Final = "Kafka"
MONGODB: Final = "MongoDB"
AMQP: Final = "AMQP"
REDIS: Final = "Redis"

_STORES: Final[Mapping[str, tuple[tuple[Classification, str], ...]]] = {
    MYSQL: (
        # Deadlocks, locks that were not waited for longer, a definition that has changed meanwhile: "try restarting
        # transaction".
        (TRANSIENT, "1205 1213 1412 1614 3572"),
        (NETWORK, "1158 1159 1160 1161 2002 2003 2005 2006 2013 2055 4031"),
        (UPSTREAM, "1040 1053 1203"),
        # MariaDB has the second one.
        (TIMEOUT, "3024 1969"),
        (AUTH, "1044 1045 1130 1142 1143 1227 1370 1698"),
        (BAD_REQUEST, "1022 1048 1062 1169 1216 1217 1364 1406 1451 1452 1557 1586 3819"),
    ),
    KAFKA: (
        (TIMEOUT, "_TIMED_OUT _MSG_TIMED_OUT _TIMED_OUT_QUEUE REQUEST_TIMED_OUT"),
        (NETWORK, "_TRANSPORT _ALL_BROKERS_DOWN _RESOLVE NETWORK_EXCEPTION"),
        (
            UPSTREAM,
            """
            LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION COORDINATOR_NOT_AVAILABLE COORDINATOR_LOAD_IN_PROGRESS
            NOT_COORDINATOR NOT_CONTROLLER NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND
            """,
        ),
        (RATE_LIMIT, "THROTTLING_QUOTA_EXCEEDED"),
        (
            AUTH,
            """
            _AUTHENTICATION SASL_AUTHENTICATION_FAILED TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED
            CLUSTER_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            """,
        ),
        (BAD_REQUEST, "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE TOPIC_EXCEPTION"),
    ),
    # By number, as its clients keep them, and by name, as they show them.
    MONGODB: (
        (
            TIMEOUT,
            """
            50 MaxTimeMSExpired 89 NetworkTimeout 202 NetworkInterfaceExceededTimeLimit 262 ExceededTimeLimit
            """,
        ),
        (NETWORK, "6 HostUnreachable 7 HostNotFound 9001 SocketException"),
        (
            UPSTREAM,
            """
            91 ShutdownInProgress 189 PrimarySteppedDown 10107 NotWritablePrimary 11600 InterruptedAtShutdown
            11602 InterruptedDueToReplStateChange 13435 NotPrimaryNoSecondaryOk 13436 NotPrimaryOrSecondary
            """,
        ),
        (TRANSIENT, "24 LockTimeout 112 WriteConflict"),
        (AUTH, "13 Unauthorized 18 AuthenticationFailed"),
        (BAD_REQUEST, "121 DocumentValidationFailure 11000 DuplicateKey"),
    ),
    # "An operator intervened to close the connection", as one does who restarts the broker.
    AMQP: ((UPSTREAM, "320"), (AUTH, "403"), (NOT_FOUND, "404"), (BAD_REQUEST, "406 530")),
    REDIS: (
        (UPSTREAM, "LOADING CLUSTERDOWN MASTERDOWN"),
        (TRANSIENT, "TRYAGAIN"),
        (AUTH, "NOAUTH WRONGPASS NOPERM"),
        (BAD_REQUEST, "WRONGTYPE"),
    ),
}

STORE_RULES_BY_CODE: Final[Mapping[str, Classification]] = {
    f"{store} {code}": rule for store, rows in _STORES.items() for rule, codes in rows for code in codes.split()
}

# Codes that can be of nothing else: MySQL's as mysqljs and mysql2 have them, SQLite's, its extended ones too.
STORE_NAMES: Final[Mapping[str, Classification]] = {
    name: rule
    for rule, names in (
        (
            TRANSIENT,
            """
            ER_LOCK_DEADLOCK ER_LOCK_WAIT_TIMEOUT ER_LOCK_NOWAIT
            SQLITE_BUSY SQLITE_BUSY_RECOVERY SQLITE_BUSY_SNAPSHOT SQLITE_BUSY_TIMEOUT
            SQLITE_LOCKED SQLITE_LOCKED_SHAREDCACHE
            """,
        ),
        (NETWORK, "PROTOCOL_CONNECTION_LOST"),
        (UPSTREAM, "ER_CON_COUNT_ERROR ER_SERVER_SHUTDOWN ER_TOO_MANY_USER_CONNECTIONS"),
        (TIMEOUT, "ER_QUERY_TIMEOUT PROTOCOL_SEQUENCE_TIMEOUT"),
        (
            AUTH,
            """
            ER_ACCESS_DENIED_ERROR ER_DBACCESS_DENIED_ERROR ER_TABLEACCESS_DENIED_ERROR ER_COLUMNACCESS_DENIED_ERROR
            ER_SPECIFIC_ACCESS_DENIED_ERROR ER_ACCESS_DENIED_NO_PASSWORD_ERROR ER_HOST_NOT_PRIVILEGED
            """,
        ),
        (
            BAD_REQUEST,
            """
            ER_DUP_ENTRY ER_DUP_KEY ER_BAD_NULL_ERROR ER_DATA_TOO_LONG ER_NO_REFERENCED_ROW_2 ER_ROW_IS_REFERENCED_2
            SQLITE_CONSTRAINT SQLITE_CONSTRAINT_CHECK SQLITE_CONSTRAINT_FOREIGNKEY SQLITE_CONSTRAINT_NOTNULL
            SQLITE_CONSTRAINT_PRIMARYKEY SQLITE_CONSTRAINT_UNIQUE
            """,
        ),
    )
    for name in names.split()
}

# What OpenTelemetry calls the systems whose `db.response.status_code` these are ("Semantic conventions for database").
DB_SYSTEMS: Final[Mapping[str, str]] = {
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "mongodb": MONGODB,
    "redis": REDIS,
    "postgresql": SQLSTATE,
    "cockroachdb": SQLSTATE,
}


class StoreForm(NamedTuple):
    """Where a message has a code of `store`: in the first group of `form`, beside a class or behind one like `of`.

    Without `of` the form itself can be nothing else's.
    """

    store: str
    form: Pattern
    of: Pattern | None = None


# PEP 249's classes, as MySQL's drivers, Django and SQLAlchemy have them, and such of them without a module that nobody
# calls a class of an application so. pymssql puts bytes behind its numbers.
_DB_API: Final = Pattern(
    r"(?:pymysql|aiomysql|asyncmy|MySQLdb|_mysql_exceptions|mysql\.connector|mariadb|django\.db|sqlalchemy)\."
    r"|(?:Operational|Integrity|Programming|Interface)Error$"
)
_AMQP_CLASS: Final = Pattern(r"(?:.*\.)?(?:Channel|Connection)Closed(?:ByBroker)?$|(?:amqp|aiormq|pika)\.")
_MYSQL_GO: Final = Pattern(r"\*?mysql\.")
_MONGODB_CLASS: Final = Pattern(r"\*?(?:mongo|driver|topology)\.|(?:.*\.)?Mongo\w+$|pymongo\.")

STORE_FORMS: Final = (
    # PyMySQL, mysqlclient and theirs; mysql-connector; Go's driver.
    StoreForm(MYSQL, Pattern(r"\((\d{4}), ['\"]"), _DB_API),
    StoreForm(MYSQL, Pattern(r"(\d{4})(?: \([0-9A-Z]{5}\))?: "), _DB_API),
    StoreForm(MYSQL, Pattern(r"(?:[^\n]{0,1000}: )?Error (\d{4}) \([0-9A-Z]{5}\): ")),
    StoreForm(MYSQL, Pattern(r"Error (\d{4}): "), _MYSQL_GO),
    # Drivers of ODBC say first what the standard calls it.
    StoreForm(SQLSTATE, Pattern(r"\(['\"]([0-9A-Z]{5})['\"], ['\"]\[[0-9A-Z]{5}\] ")),
    StoreForm(KAFKA, Pattern(r"KafkaError\{(?:FATAL,)?code=(\w+),val=-?\d+,str=\"")),
    # PyMongo; Go's driver and the server itself.
    StoreForm(MONGODB, Pattern(r"[\s\S]*, full error: \{[\s\S]*'codeName': '(\w+)'")),
    StoreForm(MONGODB, Pattern(r"(?:[^\n]{0,1000}: )?\((\w+)\) "), _MONGODB_CLASS),
    # pika; py-amqp; amqplib in JavaScript; Go's; Java's.
    StoreForm(AMQP, Pattern(r"(?:\w+: )?\((\d{3})(?:, |\) )['\"][A-Z_]+ - "), _AMQP_CLASS),
    StoreForm(AMQP, Pattern(r"\w+\.\w+: \((\d{3})\) "), _AMQP_CLASS),
    StoreForm(
        AMQP,
        Pattern(
            r"(?:Operation failed|Channel closed by server|Connection closed): (?:\w+; )?(\d{3}) \([A-Z-]+\) with "
        ),
    ),
    StoreForm(AMQP, Pattern(r"(?:[^\n]{0,1000}: )?Exception \((\d{3})\) Reason: \"")),
    StoreForm(
        AMQP,
        Pattern(r"(?:channel|connection) error; protocol method: #method<\w+\.close>\(reply-code=(\d{3}), "),
    ),
    StoreForm(REDIS, Pattern(r"(LOADING) \w+ is loading the dataset in memory")),
    StoreForm(REDIS, Pattern(r"(CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOAUTH|WRONGPASS|NOPERM|WRONGTYPE) [A-Za-z]")),
)


# Where a client keeps the code on an error of a class that begins so; `None`: as its first argument.
STORE_PATHS: Final = (
    (Pattern(r"(?:pymysql|asyncmy|MySQLdb|_mysql_exceptions)\."), MYSQL, None),
    (Pattern(r"(?:mysql\.connector|mariadb)\."), MYSQL, "errno"),
    (Pattern(r"pymongo\."), MONGODB, "code"),
    (Pattern(r"(?:pika|amqp)\."), AMQP, "reply_code"),
)


def store_code_in(text: str, classes: Iterable[str]) -> str | None:
    """The code of a store that a message has, behind what it is a code of; `classes` are those beside or before it."""
    for store, form, of in STORE_FORMS:
        found = form.match(text)
        if found is not None and (of is None or any(of.match(name) for name in classes)):
            return f"{store} {found[1]}"
    return None

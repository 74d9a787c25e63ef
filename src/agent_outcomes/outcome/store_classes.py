# SPDX-License-Identifier: Apache-2.0
"""The retryability table's classes of databases, caches and message brokers.

Data only. The rows restate what the clients say of a class: the `retriable` of kafka-python and aiokafka and the
parents of Kafka's classes in Java, the replies of AMQP 0-9-1 ("the client may retry at some later date"), MongoDB's
"Retryable Writes", java.sql's and Spring's transient exceptions, PEP 249's integrity errors. A class for errors of many
kinds (DB-API's `OperationalError`, `cimpl.KafkaException`, `redis.exceptions.ResponseError`) has no row: the code in it
tells.
"""

from __future__ import annotations

from agent_outcomes.outcome.error_classes import Rules, table
from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    NETWORK,
    NOT_FOUND,
    RATE_LIMIT,
    TIMEOUT,
    TRANSIENT,
    UPSTREAM,
)

# asyncmy, aiokafka and Valkey's client have gone on from the code of the one before.
_MYSQL = ("pymysql.err", "asyncmy.errors", "MySQLdb", "mysql.connector.errors", "mariadb")
_KAFKA = ("kafka.errors", "aiokafka.errors")
_REDIS = ("redis.exceptions", "valkey.exceptions")
_POSTGRESQL = ("psycopg.errors", "psycopg2.errors")
_JAVA_KAFKA = ("org.apache.kafka.common.errors",)
_SPRING_DAO = ("org.springframework.dao",)
_MONGODB_JAVA = ("com.mongodb",)


def _of(packages: tuple[str, ...], names: str) -> str:
    return " ".join(f"{package}.{name}" for package in packages for name in names.split())


STORE_RULES: Rules = table(
    (
        TIMEOUT,
        f"""
        {_of(_KAFKA, "RequestTimedOutError")} aiokafka.errors.KafkaTimeoutError
        {_of(_REDIS, "TimeoutError")}
        mysql.connector.errors.ConnectionTimeoutError mysql.connector.errors.ReadTimeoutError
        mysql.connector.errors.WriteTimeoutError
        pymongo.errors.ExecutionTimeout pymongo.errors.WaitQueueTimeoutError pymongo.errors.WTimeoutError
        nats.errors.TimeoutError nats.errors.DrainTimeoutError nats.errors.FlushTimeoutError
        nats.js.errors.FetchTimeoutError
        pika.exceptions.ConnectionBlockedTimeout cassandra.OperationTimedOut
        elastic_transport.ConnectionTimeout opensearchpy.exceptions.ConnectionTimeout
        """,
    ),
    (RATE_LIMIT, "kafka.errors.ThrottlingQuotaExceededError"),
    (
        UPSTREAM,
        f"""
        {_of(_KAFKA, "LeaderNotAvailableError NotLeaderForPartitionError NotControllerError")}
        {_of(_KAFKA, "NotEnoughReplicasError NotEnoughReplicasAfterAppendError")}
        kafka.errors.CoordinatorNotAvailableError kafka.errors.CoordinatorLoadInProgressError
        kafka.errors.NotCoordinatorError aiokafka.errors.GroupCoordinatorNotAvailableError
        aiokafka.errors.GroupLoadInProgressError aiokafka.errors.NotCoordinatorForGroupError
        {_of(_REDIS, "MasterDownError")} valkey.exceptions.BusyLoadingError valkey.exceptions.ClusterDownError
        pymongo.errors.NotPrimaryError
        nats.errors.NoRespondersError nats.js.errors.ServiceUnavailableError
        amqp.exceptions.ConnectionForced cassandra.Unavailable
        """,
    ),
    (
        NETWORK,
        f"""
        {_of(_KAFKA, "KafkaConnectionError NodeNotReadyError NoBrokersAvailable")} kafka.errors.NetworkExceptionError
        {_of(_REDIS, "ConnectionError")}
        nats.errors.NoServersError nats.errors.ConnectionClosedError nats.errors.ConnectionReconnectingError
        nats.errors.StaleConnectionError nats.errors.UnexpectedEOF
        pika.exceptions.StreamLostError pika.exceptions.AMQPHeartbeatTimeout
        amqp.exceptions.RecoverableConnectionError kombu.exceptions.OperationalError
        aiormq.exceptions.AMQPConnectionError cassandra.cluster.NoHostAvailable
        elastic_transport.ConnectionError opensearchpy.exceptions.ConnectionError
        """,
    ),
    (TRANSIENT, "valkey.exceptions.TryAgainError valkey.exceptions.WatchError"),
    (
        AUTH,
        f"""
        {_of(_KAFKA, "TopicAuthorizationFailedError GroupAuthorizationFailedError ClusterAuthorizationFailedError")}
        kafka.errors.TransactionalIdAuthorizationFailedError kafka.errors.SaslAuthenticationFailedError
        aiokafka.errors.TransactionalIdAuthorizationFailed aiokafka.errors.SaslAuthenticationFailed
        aiokafka.errors.AuthenticationFailedError
        {_of(_REDIS, "AuthenticationError")} valkey.exceptions.AuthorizationError valkey.exceptions.NoPermissionError
        nats.errors.AuthorizationError nats.errors.InvalidUserCredentialsError
        pika.exceptions.AuthenticationError pika.exceptions.ProbableAuthenticationError
        pika.exceptions.ProbableAccessDeniedError aiormq.exceptions.AuthenticationError
        aiormq.exceptions.ProbableAuthenticationError aiormq.exceptions.ChannelAccessRefused
        """,
    ),
    (
        NOT_FOUND,
        "nats.js.errors.NotFoundError amqp.exceptions.NotFound aiormq.exceptions.ChannelNotFoundEntity",
    ),
    (
        BAD_REQUEST,
        f"""
        {_of((*_MYSQL, "sqlite3", "psycopg", "psycopg2", "sqlalchemy.exc", "django.db.utils"), "IntegrityError")}
        {_of(_POSTGRESQL, "UniqueViolation ForeignKeyViolation NotNullViolation CheckViolation")}
        asyncpg.exceptions.UniqueViolationError asyncpg.exceptions.ForeignKeyViolationError
        asyncpg.exceptions.NotNullViolationError asyncpg.exceptions.CheckViolationError
        {_of(_KAFKA, "MessageSizeTooLargeError RecordListTooLargeError InvalidTopicError")}
        aiokafka.errors.RecordTooLargeError
        nats.errors.MaxPayloadError nats.js.errors.BadRequestError
        amqp.exceptions.PreconditionFailed aiormq.exceptions.ChannelPreconditionFailed
        aiormq.exceptions.ConnectionNotAllowed
        """,
    ),
)
"""Of clients in Python."""

FOREIGN_STORE_RULES: Rules = table(
    (
        TIMEOUT,
        f"""
        {_of(_JAVA_KAFKA, "TimeoutException")} {_of(_SPRING_DAO, "QueryTimeoutException")}
        {_of(_MONGODB_JAVA, "MongoTimeoutException MongoExecutionTimeoutException MongoSocketReadTimeoutException")}
        java.sql.SQLTimeoutException
        io.lettuce.core.RedisCommandTimeoutException org.redisson.client.RedisTimeoutException
        StackExchange.Redis.RedisTimeoutException
        MongoNetworkTimeoutError KafkaJSRequestTimeoutError KafkaJSLockTimeout
        """,
    ),
    (RATE_LIMIT, _of(_JAVA_KAFKA, "ThrottlingQuotaExceededException")),
    (
        UPSTREAM,
        f"""
        {_of(_JAVA_KAFKA, "LeaderNotAvailableException NotLeaderOrFollowerException NotLeaderForPartitionException")}
        {_of(_JAVA_KAFKA, "CoordinatorNotAvailableException CoordinatorLoadInProgressException")}
        {_of(_JAVA_KAFKA, "NotCoordinatorException NotControllerException")}
        {_of(_JAVA_KAFKA, "NotEnoughReplicasException NotEnoughReplicasAfterAppendException")}
        {_of(_MONGODB_JAVA, "MongoNotPrimaryException MongoNodeIsRecoveringException")}
        io.lettuce.core.RedisLoadingException
        """,
    ),
    (
        NETWORK,
        f"""
        {_of(_JAVA_KAFKA, "NetworkException DisconnectException")}
        {_of(_MONGODB_JAVA, "MongoSocketException MongoSocketOpenException MongoSocketReadException")}
        {_of(_MONGODB_JAVA, "MongoSocketWriteException MongoSocketClosedException")}
        java.sql.SQLTransientConnectionException
        com.mysql.cj.jdbc.exceptions.CommunicationsException com.mysql.cj.exceptions.CJCommunicationsException
        redis.clients.jedis.exceptions.JedisConnectionException io.lettuce.core.RedisConnectionException
        org.redisson.client.RedisConnectionException org.springframework.data.redis.RedisConnectionFailureException
        com.rabbitmq.client.MissedHeartbeatException
        StackExchange.Redis.RedisConnectionException
        MongoNetworkError MongoServerSelectionError MongooseServerSelectionError
        KafkaJSConnectionError KafkaJSConnectionClosedError
        MaxRetriesPerRequestError SocketClosedUnexpectedlyError
        """,
    ),
    (
        TRANSIENT,
        f"""
        {_of(_SPRING_DAO, "DeadlockLoserDataAccessException CannotAcquireLockException ConcurrencyFailureException")}
        {_of(_SPRING_DAO, "CannotSerializeTransactionException PessimisticLockingFailureException")}
        {_of(_SPRING_DAO, "OptimisticLockingFailureException TransientDataAccessResourceException")}
        java.sql.SQLTransactionRollbackException java.sql.SQLTransientException java.sql.SQLRecoverableException
        com.mysql.cj.jdbc.exceptions.MySQLTransactionRollbackException
        """,
    ),
    (
        AUTH,
        f"""
        {_of(_JAVA_KAFKA, "SaslAuthenticationException AuthorizationException TopicAuthorizationException")}
        {_of(_JAVA_KAFKA, "GroupAuthorizationException ClusterAuthorizationException")}
        {_of(_JAVA_KAFKA, "TransactionalIdAuthorizationException")}
        {_of(_MONGODB_JAVA, "MongoSecurityException")} {_of(_SPRING_DAO, "PermissionDeniedDataAccessException")}
        java.sql.SQLInvalidAuthorizationSpecException redis.clients.jedis.exceptions.JedisAccessControlException
        com.rabbitmq.client.AuthenticationFailureException
        com.rabbitmq.client.PossibleAuthenticationFailureException
        KafkaJSSASLAuthenticationError
        """,
    ),
    (
        BAD_REQUEST,
        f"""
        {_of(_JAVA_KAFKA, "RecordTooLargeException InvalidTopicException")}
        {_of(_SPRING_DAO, "DuplicateKeyException DataIntegrityViolationException")}
        {_of(_MONGODB_JAVA, "DuplicateKeyException")}
        java.sql.SQLIntegrityConstraintViolationException
        """,
    ),
)
"""Of clients in other languages."""

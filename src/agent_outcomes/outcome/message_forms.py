# SPDX-License-Identifier: Apache-2.0
"""The fixed forms that clients, runtimes and frameworks give to their messages, as regular expressions.

Data only. They match where a message begins, or name what it has to end with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    BUDGET,
    CANCELLED,
    INVALID_OUTPUT,
    NETWORK,
    POLICY,
    TIMEOUT,
    TRANSIENT,
    UNTRUSTED,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

PHRASES: Final[Mapping[str, int]] = {
    "Bad Request": 400,
    "Unauthorized": 401,
    "Payment Required": 402,
    "Forbidden": 403,
    "Not Found": 404,
    "Request Timeout": 408,
    "Conflict": 409,
    "Payload Too Large": 413,
    "Request Entity Too Large": 413,
    "Content Too Large": 413,
    "Unprocessable Entity": 422,
    "Unprocessable Content": 422,
    "Too Many Requests": 429,
    "Internal Server Error": 500,
    "Bad Gateway": 502,
    "Service Unavailable": 503,
    "Gateway Timeout": 504,
    "Gateway Time-out": 504,
}
"""HTTP's own words for its statuses."""

# A number before a colon or a dash, which may count what a tool sells; Spring AI and the Java clients write it so.
NUMBER_FORM: Final = Pattern(r"([45]\d\d)(?: ?:| -) (?!\d)")

# Forms with an HTTP status in them, and whose they are.
STATUS_FORMS: Final = (
    NUMBER_FORM,
    *(
        Pattern(form)
        for form in (
            # The Python clients generated for the APIs of OpenAI, Anthropic, Groq, Together and others.
            r"Error code: ([45]\d\d)(?: - |, with error text |$)",
            # The JavaScript, Go and Java ones.
            r"([45]\d\d) status code \(no body\)$",
            r"([45]\d\d) (?=[\s\S]*\n\s+at (?:APIError\.generate|\w+\.makeStatusError) \()",
            r"([45]\d\d) \{\s*['\"]",
            r"\[?(?:POST|GET|PUT|DELETE|PATCH)\]? \"[^\"]*\": ([45]\d\d) ",
            # httpx, requests, urllib, axios, Faraday, Spring, .NET, Azure.
            r"(?:Client|Server) error '([45]\d\d) [^']*' for url ",
            r"([45]\d\d) (?:Client|Server) Error: .* for url: ",
            r"HTTP(?: Error|/[\d.]+)?:? ([45]\d\d)(?:\s*$|: | - | \(|,|\.| [A-Z])",
            r"(?:Request failed with status code|Response code|(?:Invalid|Response) status code:?) ([45]\d\d)\b",
            r"the server responded with status ([45]\d\d)\b",
            r"Response status code does not indicate success: ([45]\d\d)\b",
            r"(?:[^\n]{0,1000}\r?\n)??\s*Status: ([45]\d\d) \(",
            rf"([45]\d\d) (?i:{'|'.join(PHRASES)})(?![\w-])",
            # Fern's clients in JavaScript, Guzzle, Ktor, reqwest, urllib3's retries.
            r"(?:[^\n]{0,1000}\n)?Status code: ([45]\d\d)(?:\n|$)",
            r"(?:Client|Server) error: `[^`]*` resulted in a `([45]\d\d) ",
            r"Client request\([^)]*\) invalid: ([45]\d\d)\b",
            r"Server error\([A-Z]+ \S+: ([45]\d\d)\b",
            r"HTTP status (?:client|server) error \(([45]\d\d)\b",
            # LiveKit's own around a client's.
            r"message='[\s\S]{0,4000}?', status_code=([45]\d\d), retryable=",
            # What Koog joins to the name of an exception of its clients.
            r"\w+Exception-[^\n]{0,200}-httpCode=([45]\d\d)$",
            r"(?:[\s\S]*\(['\"]?)?too many ([45]\d\d) error responses\b",
            # The MCP SDK in TypeScript, Google's discovery client, OkHttp's recipes.
            r"Error POSTing to endpoint \(HTTP ([45]\d\d)\)",
            r"<HttpError ([45]\d\d) when requesting ",
            r"Unexpected code Response\{protocol=[^,]*, code=([45]\d\d),",
            # Claude Code.
            r"Request rejected \(([45]\d\d)\)",
            r"API Error: ([45]\d\d) ",
            r"(?:Repeated )?(529) Overloaded\b",
            # Pydantic AI, Cohere, Mistral, Ollama, Google's clients, go-openai, LangChainGo, AWS's SDKs.
            r"(?:headers: \{[\s\S]*\}, )?status_code: ([45]\d\d)(?:, |$)",
            r"API error occurred: Status:? ([45]\d\d)\b",
            r"[\s\S]*\(status code: ([45]\d\d)\)$",
            r"([45]\d\d) [A-Z]+(?:_[A-Z]+)*\. \{",
            r"(?:\[[\w. ]+\]: )?got status: ([45]\d\d)\b",
            r"\[GoogleGenerativeAI Error\]: Error fetching from \S+: \[([45]\d\d) ",
            r"googleapi: Error ([45]\d\d): ",
            r"Error ([45]\d\d), Message: ",
            r"\{\s*\"error\":\s*\{\s*\"code\":\s*([45]\d\d)\b",
            r"error, status code: ([45]\d\d)[,:]",
            r"API returned unexpected status code: ([45]\d\d)\b",
            r"operation error [\w ]+: \w+, [\w ,]*https response error StatusCode: ([45]\d\d), ",
            r"[\s\S]*\(Service: [\w ]+, Status Code: ([45]\d\d), Request ID: [\w-]+",
        )
    ),
)

# gRPC in Java and Genkit begin with the code, which is a plain word in capitals.
CAPITALS_FORM: Final = Pattern(r"([A-Z]{6,}|[A-Z]+(?:_[A-Z]+)+): ")
# gRPC in JavaScript has its number before it.
NUMBERED_FORM: Final = Pattern(r"\d{1,2} ([A-Z]+(?:_[A-Z]+)*): ")

# Forms with a code in them that is looked up as if it stood on the error.
CODE_FORMS: Final = (
    NUMBERED_FORM,
    CAPITALS_FORM,
    *(
        Pattern(form)
        for form in (
            # botocore, gRPC in Go, Python, JavaScript and Java, Genkit.
            r"An error occurred \((\w+)\) when calling the \w+ operation\b",
            r"rpc error: code = (\w+) desc = ",
            r"<\w+ of RPC that terminated with:\s+status = StatusCode\.(\w+)",
            r"([a-z]+(?:_[a-z]+)+): ",
            # Node.js's system errors; the Claude Agent SDK's result; MCP; LangChain's errors in JavaScript.
            r"(?:connect|read|write|send|getaddrinfo|queryA|queryAaaa) (E[A-Z_]+)\b",
            r"Result error: (\w+)$",
            r"MCP error (-?\d+): ",
            # gRPC in .NET and in Rust, urllib3, .NET's client of OpenAI, Rust's.
            r"Status\(StatusCode=\"(\w+)\"",
            r"(?:status|code): (\w+), message: \"",
            r"HTTPS?ConnectionPool\([^)]*\): Max retries exceeded with url: \S* \(Caused by (\w+)\(",
            r"[\s\S]*\(code: (\w+)\)$",
            # SQLite's driver in Java.
            r"\[(SQLITE_[A-Z_]+)\] ",
            # pgx, Go's driver of PostgreSQL.
            r"(?:[\s\S]*: )?(?:ERROR|FATAL): [^\n]*\((SQLSTATE [0-9A-Z]{5})\)$",
            # tenacity, which names the class that it has given up on.
            r"(?:RetryError\[)?<Future at 0x[0-9a-f]+ state=finished raised (\w+)>\]?$",
            r"[\s\S]*\bTroubleshooting URL: https://\S+/errors/([A-Z_]+)/?(?:\s|$)",
            # Anthropic's error within a stream.
            r"\{\s*['\"]type['\"]:\s*['\"]error['\"],\s*['\"]error['\"]:\s*\{\s*(?:['\"]details['\"]:\s*\w+,\s*)?['\"]type['\"]:\s*['\"](\w+)",
        )
    ),
)

# How the C library puts it, and Go in lower case.
_ERRNO_TEXTS: Final = (
    "Connection refused|Connection reset by peer|Connect call failed|Network is unreachable|No route to host"
    "|Broken pipe|Name or service not known|Temporary failure in name resolution|No such host"
    "|nodename nor servname provided, or not known|Connection aborted|Software caused connection abort"
)
_LATE: Final = "(?:[Oo]peration|[Cc]onnection|[Rr]ead|[Cc]onnect|HTTP connect|[Rr]equest|The read operation) timed out"

_DRIVER: Final = r"(?:\(psycopg2?\.(?:errors\.)?\w+\) )?(?:consuming input failed: )?"

# Forms that say it all.
TEXT_RULES: Final[tuple[tuple[Pattern, Classification], ...]] = tuple(
    (Pattern(form), rule)
    for form, rule in (
        (r"\d+ validation errors? for \w+", INVALID_OUTPUT),
        (r"Max iterations of \d+ reached!", BUDGET),
        (r"Max turns \(\d+\) exceeded$", BUDGET),
        (r"Recursion limit of \d+ reached without hitting a stop condition", BUDGET),
        (r"Task '[\s\S]*' execution timed out after \d+ seconds\.", TIMEOUT),
        # The OpenAI Agents SDK, under OpenInference and under OpenTelemetry's instrumentation.
        (r"(?:\{'message': ')?Max turns exceeded(?:: |')", BUDGET),
        (r"(?:\{'message': ')?Guardrail tripwire triggered(?:: |'|$)", POLICY),
        # What OpenTelemetry's GenAI instrumentations say of a stream whose consumer left; Claude Code.
        (r"abandoned stream$", CANCELLED),
        (r"\[?(?:Request i|I)nterrupted by user(?: for tool use)?[\].]{0,2}$", CANCELLED),
        # fetch in Node.js, Chrome, Firefox, Safari, React Native; axios; Node's http; the generated clients.
        (r"(?:fetch failed|Failed to fetch|Load failed|Network request failed|Network Error|socket hang up)$", NETWORK),
        (r"(?:other side closed|Premature close)$", NETWORK),
        (r"NetworkError when attempting to fetch resource\.$", NETWORK),
        (
            r"(?:Connection error\.?|Connection closed|Server disconnected|All connection attempts failed)\)?(?:$| ·)",
            NETWORK,
        ),
        (r"Client network socket disconnected before secure TLS connection was established$", NETWORK),
        # Who could not connect for the time it took says so, in whatever form.
        (rf"(?:{_LATE})(?:$|[.,;)] ?| \()", TIMEOUT),
        (
            r"(?:The operation was aborted due to timeout|Th(?:e|is) (?:operation|request) (?:has )?timed out)\.?$",
            TIMEOUT,
        ),
        (r"timeout of \d+ms exceeded$", TIMEOUT),
        (r"(?:Connect|Headers|Body) Timeout Error\b", TIMEOUT),
        (r"Timed out while waiting for response to \w+\.", TIMEOUT),
        (r"The request was canceled due to the configured HttpClient\.Timeout of [\d.,]+ seconds elapsing\.", TIMEOUT),
        # Azure.Core and System.ClientModel, which OpenAI's .NET client is made of.
        (r"The operation was cancell?ed because it exceeded the configured timeout of ", TIMEOUT),
        (r"The operation didn't complete within the allowed timeout\b", TIMEOUT),
        (r"Did not observe any item or terminal signal within \d+ms", TIMEOUT),
        (r"Deadline expired before operation could complete", TIMEOUT),
        (r"(?:Read|Connect) timeout on endpoint URL: ", TIMEOUT),
        (r"Connection timeout to host \S+$", TIMEOUT),
        (r"Socket timed out without establishing a connection\b", TIMEOUT),
        (r"cURL error 28: ", TIMEOUT),
        (r"<urlopen error (?:\S+: The handshake operation )?timed out>$", TIMEOUT),
        (r"HTTPS?ConnectionPool\([^)]*\): Read timed out\.", TIMEOUT),
        (r"Request timeout has expired\b", TIMEOUT),
        (r"(?:<urlopen error )?\[Errno (?:110|60|10060)\] ", TIMEOUT),
        # Certificates, as OpenSSL, Node.js, Python, Go, Java, .NET, Rust and curl complain of them.
        (r"(?:self[- ]signed certificate|certificate has expired|unable to verify the first certificate)\b", UNTRUSTED),
        (
            r"(?:\(MaxRetryError\(|<urlopen error |SSL validation failed for \S+ )?\[SSL: CERTIFICATE_VERIFY_FAILED\] ",
            UNTRUSTED,
        ),
        (
            (
                r"HTTPS?ConnectionPool\([^)]*\): Max retries exceeded with url: \S* \(Caused by SSLError\("
                r"[^'\"]{0,60}['\"]\[SSL: CERTIFICATE_VERIFY_FAILED\] "
            ),
            UNTRUSTED,
        ),
        (r"Cannot connect to host \S+ ssl:\S+ \[SSLCertVerificationError: ", UNTRUSTED),
        (r"unable to get (?:local )?issuer certificate\b", UNTRUSTED),
        (r"(?:SSL certificate verification failed|PKIX path (?:building|validation) failed)", UNTRUSTED),
        (r"(?:[\s\S]*: )?(?:tls: failed to verify certificate: )?x509: ", UNTRUSTED),
        (r"The remote certificate (?:is invalid|was rejected)\b", UNTRUSTED),
        (r"(?:[\s\S]*: )?invalid peer certificate: ", UNTRUSTED),
        (r"cURL error (?:51|60): ", UNTRUSTED),
        # Clients in Python, JavaScript, Java, PHP, .NET and Rust.
        (r"Cannot connect to host \S+ ssl:", NETWORK),
        (r"Unable to connect to (?:API\b|the remote server$)", NETWORK),
        (r"Failed to connect to Ollama\.", NETWORK),
        (r"Server disconnected without sending a response\.", NETWORK),
        (r"peer closed connection without sending complete message body\b", NETWORK),
        (r"(?:\('Connection aborted\.', |Remote end closed connection without response)", NETWORK),
        (r"\[SSL: UNEXPECTED_EOF_WHILE_READING\] |EOF occurred in violation of protocol\b", NETWORK),
        (r"Could not connect to the endpoint URL: ", NETWORK),
        (r"Connection was closed before we received a valid response from endpoint URL: ", NETWORK),
        (r"cURL error (?:5|6|7|16|35|52|56|92): ", NETWORK),
        (r"An error occurred while sending the request\.", NETWORK),
        (r"(?:Connection refused|No such host is known\.|Name or service not known) \([\w.:\[\]-]+:\d+\)$", NETWORK),
        (r"unexpected end of stream on \S+$", NETWORK),
        (rf"(?:<urlopen error )?\[Errno -?\d+\] (?:{_ERRNO_TEXTS})\b", NETWORK),
        (rf"(?:{_ERRNO_TEXTS})(?:$| \(os error \d+\)$)", NETWORK),
        # SQLite; MongoDB's server; NATS' clients, Go's with words before; librdkafka's in Go and JavaScript; redis-py.
        (r"database (?:table |schema )?is locked(?:$|\n|: \w+$| \(\d+\) \(SQLITE_)", TRANSIENT),
        (r"(?:UNIQUE|FOREIGN KEY|NOT NULL|CHECK|PRIMARY KEY) constraint failed(?:$|\n|: )", BAD_REQUEST),
        (r"E11000 duplicate key error ", BAD_REQUEST),
        (r"(?:Caused by :: )?WriteConflict error: this operation conflicted with another operation\.", TRANSIENT),
        (r"(?:[\s\S]*: )?nats: timeout$", TIMEOUT),
        (r"(?:[\s\S]*: )?nats: no responders available for request$", UPSTREAM),
        (r"(?:[\s\S]*: )?nats: (?:no servers available for connection|connection closed|stale connection)$", NETWORK),
        (r"(?:[\s\S]*: )?nats: [Aa]uthorization (?:[Vv]iolation|failed)$", AUTH),
        (r"(?:Local: (?:Message t|T)imed out|Broker: Request timed out)$", TIMEOUT),
        (r"Local: (?:Broker transport failure|All broker connections are down|Host resolution failure)$", NETWORK),
        (r"Error -?\d+ (?:while )?connecting to \S+:\d+\. ", NETWORK),
        # libpq, which SQLAlchemy shows behind the class in brackets.
        (rf"{_DRIVER}(?:server closed the connection|SSL connection has been closed) unexpectedly", NETWORK),
        (rf"{_DRIVER}could not connect to server: ", NETWORK),
        (rf"{_DRIVER}connection to server at \"[^\"]*\"[^\n]* failed: (?!FATAL|ERROR)", NETWORK),
        # Rust puts the cause last, as Go does.
        (r"error sending request for url \([^)]*\)[\s\S]*: operation timed out$", TIMEOUT),
        (r"(?:[\s\S]*: )?deadline has elapsed$", TIMEOUT),
        (r"error sending request for url \([^)]*\)[\s\S]*invalid peer certificate: ", UNTRUSTED),
        (r"(?:[\s\S]*: )?connection closed before message completed$", NETWORK),
        (r"Th(?:e|is) operation was (?:aborted|cancell?ed)\.?$", CANCELLED),
        (r"Request was aborted\.?\)?(?:$| ·)", CANCELLED),
        (r"(?:The user aborted a request|A task was canceled|signal is aborted without reason)\.?$", CANCELLED),
        # Go wraps by putting words before: the cause stands last.
        (r"(?:[\s\S]*: )?context deadline exceeded(?: \(Client\.Timeout[^()]*\))?$", TIMEOUT),
        (r"(?:[\s\S]*: )?net/http: request canceled[\w ]* \(Client\.Timeout[^()]*\)$", TIMEOUT),
        (r"(?:[\s\S]*: )?(?:http2?|net/http): timeout awaiting response headers$", TIMEOUT),
        (
            r"(?:[\s\S]*: )?(?:context canceled|(?:dial|read|write|lookup)(?: \S+){1,3}: operation was canceled)$",
            CANCELLED,
        ),
        (r"(?:[\s\S]*: )?(?:dial|read|write) (?:tcp|udp|unix)\d? ?[^ ]*: (?:[\w>:.\[\]-]+ )*i/o timeout$", TIMEOUT),
        (r"(?:[\s\S]*: )?net/http: TLS handshake timeout$", TIMEOUT),
        (rf"(?:[\s\S]*: )?(?:dial|read|write|lookup) \S+.*: (?:{_ERRNO_TEXTS.lower()})$", NETWORK),
        (r"(?:Post|Get) \"[^\"]*\": (?:unexpected )?EOF$", NETWORK),
        (r"(?:[\s\S]*: )?(?:http2: server sent GOAWAY|stream error: stream ID \d+; )", NETWORK),
        (r"(?:[\s\S]*: )?use of closed network connection$", NETWORK),
    )
)

# Plain words, which say so of an order or of a contract just as well: fetch's, DOM's and OkHttp's own errors say them
# alone, and no class at all does.
WORD_RULES: Final[tuple[tuple[Pattern, Classification], ...]] = tuple(
    (Pattern(form), rule)
    for form, rule in (
        (r"terminated$", NETWORK),
        (r"(?:Cancell?ed|Abort(?:ed)?)\.?$", CANCELLED),
        (r"(?:Request|Operation) (?:was )?(?:aborted|cancell?ed)\.?\)?(?:$| ·)", CANCELLED),
    )
)
PLAIN_CLASSES: Final = frozenset(
    {
        *("Error", "TypeError", "DOMException", "AbortError", "CanceledError", "CancelError", "APIUserAbortError"),
        # Around an OpenAI client's.
        "GenkitError",
        *("java.io.IOException", "java.io.InterruptedIOException", "java.util.concurrent.CancellationException"),
        *("System.OperationCanceledException", "System.Threading.Tasks.TaskCanceledException"),
    }
)
# Those whose messages begin with gRPC's code: io.grpc's, gRPC's in Go and JavaScript, Google's clients, Genkit, which
# gives its errors the HTTP status for a name.
GRPC_CLASS: Final = Pattern(
    r"(?i:grpc|rpc|genkit|google|gax)|StatusRuntimeException$|StatusException$|\*status\.Error$|^Error$|^[45]\d\d$"
)

# What says only where something went wrong, if nothing behind it says what.
VAGUE_TEXTS: Final[tuple[tuple[Pattern, Classification], ...]] = tuple(
    (Pattern(form), NETWORK)
    for form in (
        r"Cannot connect to API(?:$|: )",
        r"error sending request for url \(",
        r"I/O error on [A-Z]+ request for \"",
        r"Unable to execute HTTP request: ",
    )
)

# What stands before the message of the error itself: the class, what a framework calls the step, a retrier's count.
MESSAGE_PREFIX: Final = Pattern(
    r"""(?:
      (?P<name>[\w.$]+)(?::\s+|\(['"])
    # How SQLAlchemy shows the class of the driver's error.
    | \((?P<driver>\w+(?:\.\w+)+)\)[ ]
    | \(['"](?:<class\ '[\w.]{1,200}'>\ )?[\w ,.]{1,200}['"],[ ]
    | API\ Error\ \((?=[A-Z1-9])
    # How websockets shows why the other side closed the connection.
    | (?:received|sent)\ 1\d{3}\ \([\w\ -]+\)\s
    | MCP\ error\ -?\d+:\s
    | \[[\w.\ ]{1,60}\]:\s
    | Error\ fetching\ from\ \S+:\s
    | \w+Exception\ -[ ]
    | Unable\ to\ execute\ HTTP\ request:\s
    | I/O\ error\ on\ [A-Z]+\ request\ for\ "[^"]*":\s
    | request\ to\ \S+\ failed,\ reason:\s
    | Failed\ after\ \d+\ attempts?(?:\.\ Last\ error:\ |\ with\ non-retryable\ error:\ ')
    | (?:Post|Get|Put|Delete|Patch|Head)\ "[^"]*":\s
    # Dapr Agents; Koog's clients.
    | [A-Z]\w{1,40}\ API\ error\ \(\w{1,100}\):\s
    | Error\ from\ client:\ [^\n]{1,200}\n(?:Message:\ )?
    | (?P<words>[\w.$ ]{1,200}):\s+
    )""",
    re.VERBOSE,
)

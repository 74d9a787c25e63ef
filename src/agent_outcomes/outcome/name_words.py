# SPDX-License-Identifier: Apache-2.0
"""When the last segment of an error's name may be taken for that of a row of the tables.

Data only. A word of several meanings (`ReadError`, `Abort`, `ValidationError`, `Internal`) is one library's, which must
be named before it; these here are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

# In words without any mark between them: whoever calls a class so means this and nothing else, in whatever library.
EVERYWHERE: Final = Pattern(
    r"""
      timeout | timedout | deadlineexceeded | timelimitexceeded
    | ratelimit | toomanyrequests | throttl(?:ed|ingexception)
    | authentication | unauthorized | unauthenticated | permissiondenied | accessdenied | forbidden | credential
    | apikey | insufficientquota | paymentrequired | billing
    | overloaded | serviceunavailable | badgateway | internalserver
    | connection(?:error|exception|refused|reset|aborted|closed|failed) | connect(?:error|exception)$
    | ^network(?:error|exception)$ | ^(?:client)?socket(?:error|exception)$ | ^proxyerror$ | remoteprotocol
    | unknownhost | disconnected | brokenpipe
    | ssl(?:error|exception|handshake|cert) | certificate
    | deadlockdetected
    | notfound | badrequest | unprocessable | invalidrequest | invalidargument | invalidurl
    | context(?:window|length|overflow) | toolarge
    | json | outputpars | structuredoutput | modelbehavior
    | maxtokens | lengthfinishreason | outputtokenlimit | incompleteoutput
    | maxturns | maxsteps | graphrecursion | usagelimit | llmcallslimit
    | contentfilter | contentpolicy | guardrail | modelrefusal
    | toolexecution | toolfailed | ^tool(?:error|exception)$
    | nullpointer | nullreference | outofbounds | indexoutof | classcast | invalidcast | stackoverflow
    | dividebyzero | zerodivision | argumentnull | nosuchmethod | noclassdef | unboundlocal
    """,
    re.VERBOSE,
)

# Words that name no error by themselves: a worker's shutdown, a prompt's or a script's end, what an engine puts aside
# (and no account that was suspended) under their full name only.
TOO_COMMON: Final = frozenset(
    {
        *("abort", "interrupt", "shutdown", "terminated", "stopexception", "rerunexception"),
        # PEP 249's, and not kombu's.
        *("operationalerror",),
        *("suspendedexception", "suspendexecution", "taskdeferred", "sdkinternalexception"),
    }
)

# The words at the end of a class that somebody has called after what happened: `AcmeReadTimeoutError`, `ToolTimeout`.
# They say so in any library, unless a word before them says that it is about the limit itself: NATS has a
# `BadTimeoutError`, Kafka an `InvalidSessionTimeoutError`. A session that timed out has to be begun anew, and not
# everything that has a rate is asked. As Python's and Go's engines read alike.
TIMEOUT_ENDING: Final = Pattern(
    r"^_*(?:[A-Z][A-Za-z0-9]*)?(?:Time[Oo]ut|TimedOut|DeadlineExceeded)(?:Expired|Exceeded|Occurred)?(?:Error|Exception)?$"
)
RATE_LIMIT_ENDING: Final = Pattern(
    r"^_*(?:[A-Z][A-Za-z0-9]*)?"
    r"(?:RateLimit(?:s|ed|ing)?(?:Exceeded|Reached|Hit)?|TooManyRequests|Throttled|Throttling)(?:Error|Exception)?$"
)
NO_ENDING: Final = Pattern(
    r"(?:^_*|[a-z0-9])(?:Invalid|Bad|Illegal|Missing|Unknown|Unsupported|Unexpected|Wrong|Malformed|Incorrect|Negative|Zero"
    r"|Undefined|Unset|Unable|Un|No|Non|Not|Never|Without|Disabled|Duplicate|Conflicting|Ambiguous|Required|Set|Get|Parse"
    r"|Parsing|Config|Configuration|Settings?|Options?|Parameters?|Arguments?|Value|Validation|Format|Session"
    r"|Exchange|Interest|Tax|Heart|Pulse|Frame|Bit|Baud|Sample|Sampling|Refresh|Error|Mortgage|Loan|Conversion|Growth"
    r"|Flow|Discount|Commission|Click|Success|Failure|Hit|Win|Hourly|Daily|Room)[A-Z0-9]"
)

# What stands before a code: the enumerations of gRPC, the packages of AWS, and a vendor's own code with a dot in it
# (`Throttling.RateQuota` of DashScope), which begins in upper case as no module does.
CODE_QUALIFIERS: Final[Mapping[str, Pattern]] = {
    "grpc": Pattern(r"(?:^|[.:])(?:StatusCode|codes|Code)[.:$]+$|^(?:io\.grpc|tonic)[.:]"),
    "vendor": Pattern(r"^(?:Amazon|software\.amazon|com\.amazonaws|botocore|aws_\w+|\*types)[.:]"),
    "dotted": Pattern(r"^[A-Z]\w*[.$]$"),
}

# Domains that packages of many owners begin with.
SHARED_ROOTS: Final = frozenset({"com", "org", "io", "dev", "net", "ai", "software", "de", "co"})

# Classes of which a `code` is a status of HTTP: clients and servers of HTTP, and those of providers of models.
HTTP_CLASS: Final = Pattern(
    r"(?i:http|statuserror)|^(?:google|openai|anthropic|groq|mistralai|cohere|together|litellm|ollama|replicate|azure"
    r"|urllib3?|aiohttp|requests|tornado|werkzeug|starlette|fastapi|falcon|sanic|aiobotocore|botocore|mcp|fastmcp"
    r"|pydantic_ai|langchain\w*|voyageai|cerebras|xai_sdk|zhipuai|dashscope)\."
)

# Packages that go on under another name with the classes of the one before.
SUCCESSORS: Final[Mapping[str, str]] = {"httpx2": "httpx", "httpcore2": "httpcore"}

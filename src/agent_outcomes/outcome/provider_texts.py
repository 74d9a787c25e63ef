# SPDX-License-Identifier: Apache-2.0
"""What providers of models, gateways and Claude Code say in words: the beginnings of sentences that are theirs alone.

Data only, as regular expressions. Many errors have no other sign than these: a prompt that is too long is an
`invalid_request_error` like any other, and the AI SDK hands on nothing but the sentence. A sentence says more than a
class, an HTTP status or a code beside it, and is looked for where a message begins, where a known form has ended, and
where the body of an answer has its message; never in the midst of a text.
"""

from __future__ import annotations

from typing import Final

from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    BUDGET,
    CONTEXT_OVERFLOW,
    INVALID_OUTPUT,
    NOT_FOUND,
    POLICY,
    QUOTA,
    RATE_LIMIT,
    TRUNCATED,
    UPSTREAM,
    Classification,
)

SENTENCES: Final[tuple[tuple[Classification, tuple[str, ...]], ...]] = (
    (
        CONTEXT_OVERFLOW,
        (
            # OpenAI, Azure, vLLM, Groq, OpenRouter.
            r"This (?:model|endpoint)'s maximum context length is \d+ tokens",
            r"Your input exceeds the context window of this model",
            r"Request too large for ",
            r"Please reduce the length of the (?:messages|prompt|input)",
            r"Input tokens exceed the configured limit of \d+",
            r"'?max_(?:completion_)?tokens'?(?: or 'max_completion_tokens')? is too large: \d+\. This model's maximum",
            r"The decoder prompt \(length \d+\) is longer than the maximum model length",
            # Anthropic, its CLI, Bedrock, Google.
            r"(?:The model returned the following errors: )?[Pp]rompt is too long",
            r"input length and `max_tokens` exceed context limit",
            r"Request exceeds the maximum (?:allowed )?(?:size|number of bytes)",
            r"(?:Error during compaction: )?Conversation too long",
            r"Request too large \(max ",
            r"(?:The model returned the following errors: )?Input is too long for requested model",
            r"The input token count(?: \(\d+\))? exceeds the maximum number of tokens allowed",
            r"Unable to submit request because the input token count is \d+ but model only supports up to",
            # SGLang, llama.cpp, TGI, LM Studio, Cohere.
            r"Requested token count exceeds the model's maximum context length",
            r"The input \(\d+ tokens\) is longer than the model's context length",
            r"Requested tokens \(\d+\) exceed context window of \d+",
            r"(?:the )?request (?:\(\d+ tokens\) )?exceeds the available context size",
            r"Input validation error: `inputs` (?:tokens \+|must have less than)",
            r"Trying to keep the first \d+ tokens when context the overflows",
            r"too many tokens: ",
        ),
    ),
    (
        QUOTA,
        (
            # Of OpenAI. Gemini says the same of what passes in a minute, and goes on otherwise.
            r"You exceeded your current quota, please check your plan and billing details\.?(?:$| For more .+ docs: )",
            r"Billing hard limit has been reached",
            r"Your account is not active, please check your billing details",
            r"Your credit balance is too low",
            r"Credit balance (?:is )?too low",
            r"You have reached your specified (?:workspace )?API usage limits",
            r"You've hit your (?:[\w ]{1,20} )?limit(?: ·|$)",
            r"Claude (?:AI )?usage limit reached",
            r"(?:Usage credits are|Extra usage is) required",
            # DeepSeek, OpenRouter, Zhipu in both of its languages, Gemini, xAI, SiliconFlow.
            r"Insufficient (?:Balance|credits|quota)\b",
            r"Insufficient balance or no resource package",
            r"\u4f59\u989d\u4e0d\u8db3\u6216\u65e0\u53ef\u7528\u8d44\u6e90\u5305",
            r"Your prepayment credits are depleted",
            r"Sorry, your account balance is insufficient",
            r"This request requires more credits, or fewer max_tokens",
            r"You have exceeded your monthly included credits",
            r"Your team \S+ has either used all available credits or reached its monthly spending limit",
            r"ExceededBudget: ",
            r"Budget has been exceeded!",
        ),
    ),
    (
        RATE_LIMIT,
        (
            r"(?:API |Requests |Tokens )?[Rr]ate limit (?:(?:has been |is |was )?(?:reached|exceeded)|hit)\b",
            r"(?:Requests|Tokens) per (?:second|minute|hour|day) limit exceeded",
            r"Number of request tokens has exceeded your (?:per-minute|hourly|daily) rate limit",
            r"This request would exceed (?:your|the) (?:organization|account|rate limit)",
            r"Requests to the .{1,100} Operation under Azure OpenAI API .{1,50} have exceeded ",
            r"Too many (?:requests|tokens)(?:$|[.,:]| per day, | received)",
            r"Rate exceeded$",
            r"Resource (?:has been exhausted \(e\.g\. check quota\)|exhausted\. Please try again later)",
            r"Quota exceeded for (?:quota )?(?:metric|aiplatform)",
            r"You are using a Trial key, which is limited to ",
            r"Request was throttled",
            r"Service tier capacity exceeded for this model",
            r"Server is temporarily limiting requests",
            r"No deployments available for selected model, Try again in",
        ),
    ),
    (
        AUTH,
        (
            r"Incorrect API key provided",
            r"You didn't provide an API key",
            r"[Ii]nvalid (?:x-api-key|API [Kk]ey|api key|api token|bearer token)\b",
            r"API key (?:not valid|expired|not found)\b",
            r"Your API key (?:was reported as leaked|does not have permission)",
            r".{1,40} API key is missing\. Pass it using the 'apiKey' parameter",
            r"The .{1,40}_API_KEY environment variable is missing or empty",
            r"The api_key client option must be set either by passing api_key",
            r"Could not resolve authentication method",
            r"Access denied due to invalid subscription key or wrong API endpoint",
            r"The security token included in the request is (?:expired|invalid)",
            r"You don't have access to the model with the specified model ID",
            r"Unable to (?:locate credentials|load credentials from any of the providers)",
            r"Could not load (?:credentials from any providers|the default credentials)",
            r"Your default credentials were not found",
            r"No auth credentials found",
            r"no api key supplied",
            r"Authentication (?:Fails|Error, Invalid proxy server token passed)",
            r"Country, region, or territory not supported",
            r"(?:Not logged in|Please run /login)\b",
            r"OAuth token (?:revoked|has expired)",
            r"(?:This|Your) organization has (?:been disabled|disabled Claude)",
        ),
    ),
    (
        NOT_FOUND,
        (
            r"The model [`'\"][^`'\"]*[`'\"] (?:does not exist|was not found|has been (?:deprecated|decommissioned))",
            r"model [`'\"][^`'\"]*[`'\"] not found",
            r"models/\S+ is not found for API version",
            r"Publisher Model `[^`]*` (?:was )?not found",
            r"The API deployment for this resource does not exist",
            r"No endpoints found (?:for|that support)",
            r"There's an issue with the selected model",
        ),
    ),
    (
        POLICY,
        (
            r"The response was filtered due to the prompt triggering",
            r"Your request was rejected (?:as a result of our|by the) safety system",
            r"Output blocked by content filtering policy",
            r"Invalid prompt: your prompt was flagged",
            r"(?:Candidate|Prompt|(?:Text not available\. )?(?:The )?[Rr]esponse) was blocked(?: due to| by|\.)",
            r"Input data may contain inappropriate content",
            r"Content Exists Risk",
            r"Claude Code is unable to respond to this request, which appears to violate",
        ),
    ),
    (BAD_REQUEST, (r"Request contains an invalid argument\.",)),
    (TRUNCATED, (r"Claude's response exceeded the \d+ output token maximum",)),
    (
        BUDGET,
        (
            r"Reached maximum (?:number of turns|budget) \(",
            r"Maximum number of (?:turns|steps|iterations) (?:reached|exceeded)",
            # Genkit, in JavaScript and in Go.
            r"[Ee]xceeded maximum tool call iterations",
        ),
    ),
    (INVALID_OUTPUT, (r"Failed to provide valid structured output after",)),
    (
        UPSTREAM,
        (
            r"Overloaded(?:$|\.)",
            r"The server had an error (?:while )?processing your request",
            r"(?:The|That|This) (?:engine|model|server) is (?:currently )?overloaded",
            r"This model is currently experiencing high demand",
            r"Our servers are currently overloaded",
            r"Internal server error(?:$|\.)",
            r"An internal error has occurred\. Please retry",
            r"Internal error encountered",
            r"Bedrock is unable to process your request",
            r"The system encountered an unexpected error during processing",
            r"(?:The )?[Ss]ervice is (?:currently|temporarily) unavailable",
            r"Model too busy, unable to get response",
            r"no healthy upstream",
            r"upstream connect error or disconnect/reset before headers",
            r"server busy, please try again",
        ),
    ),
)

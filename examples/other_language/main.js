// SPDX-License-Identifier: Apache-2.0
// An agent in JavaScript: it sets attributes on its span, and a collector with metrics-only.yaml makes the metrics.
//   otelcol-agent-outcomes --config collector-config/metrics-only.yaml
//   npm ci && node main.js

import { SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "triage" }),
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })], // to OTEL_EXPORTER_OTLP_ENDPOINT
});
trace.setGlobalTracerProvider(provider);
const tracer = trace.getTracer("shop.triage");

async function triage(ticket) {
  const attributes = { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage-bot" };
  await tracer.startActiveSpan("invoke_agent triage-bot", { attributes }, async (span) => {
    try {
      if (ticket === "spam") throw new Error("rejected by the content filter");
      span.setAttributes({
        "agent.outcome.type": ticket === "refund" ? "escalated" : "deflected",
        "agent.outcome.value": "12.50",
        "agent.outcome.currency": "EUR",
      });
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute("agent.outcome.error.category", "policy");
    } finally {
      span.end();
    }
  });
}

for (const ticket of ["password", "hours", "refund", "spam"]) await triage(ticket);
await provider.shutdown();

// What Prometheus fetches: the metrics that the Python package would have made.
const scrape = process.env.SCRAPE_URL ?? "http://127.0.0.1:8889/metrics";
for (let attempt = 0; attempt < 100; attempt++) {
  const text = await (await fetch(scrape)).text();
  const lines = text.split("\n").filter((line) => line.startsWith("agent_outcome_value_total"));
  if (lines.length === 2) {
    const short = /agent_outcome_type="(\w+)".* (\S+)$/;
    for (const line of lines.sort()) console.log("worth in EUR,", line.match(short).slice(1).join(": "));
    process.exit(0);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.error(`no outcome metrics at ${scrape} within 10 s`);
process.exit(1);

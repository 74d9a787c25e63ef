// SPDX-License-Identifier: Apache-2.0
// An agent in JavaScript, with OpenTelemetry's own SDK and no code of ours. A gateway makes outcomes of its spans:
//   agent-outcomes serve
//   npm ci && node gateway.js        then open http://127.0.0.1:8321

import { SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "triage" }),
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })], // to port 4318 of this machine
});
trace.setGlobalTracerProvider(provider);
const tracer = trace.getTracer("shop.triage");
const gateway = process.env.AGENT_OUTCOMES_GATEWAY ?? "http://127.0.0.1:8321";

async function triage(ticket) {
  const attributes = { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage-bot" };
  await tracer.startActiveSpan("invoke_agent triage-bot", { attributes }, async (span) => {
    span.setAttribute("agent.outcome.run_id", `ticket-${ticket}`);
    if (ticket === "spam") {
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute("agent.outcome.error.category", "policy");
    } else if (ticket !== "refund") {
      span.setAttributes({ "agent.outcome.type": "deflected", "agent.outcome.value": "12.50" });
    } // what becomes of the refund, a person will say
    span.end();
  });
}

for (const ticket of ["password", "hours", "refund", "spam"]) await triage(ticket);
await provider.shutdown();

// The gateway settles a trace when nothing more has come for a few seconds.
async function runs() {
  for (let attempt = 0; attempt < 300; attempt++) {
    const found = (await (await fetch(`${gateway}/v1/runs?agent=triage-bot`)).json()).runs;
    if (found.length >= 4) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no runs at ${gateway} within 30 s`);
}

await runs();
const verdict = { type: "escalated", label: "refunded", value: "-20.00", reported_by: "shop" };
const answer = await fetch(`${gateway}/v1/runs/run_id:ticket-refund/outcome`, {
  method: "PUT",
  headers: { "content-type": "application/json", "idempotency-key": "refund-1" },
  body: JSON.stringify(verdict),
});
console.log("the verdict on the refund:", answer.status, (await answer.json()).state);
for (const { run_id, status, outcome } of (await runs()).sort((a, b) => (a.run_id < b.run_id ? -1 : 1))) {
  console.log([run_id, status, outcome.type ?? outcome.state, outcome.value].filter(Boolean).join(" "));
}

// SPDX-License-Identifier: Apache-2.0
// An agent of Vercel AI SDK 7; which of its OpenTelemetry packages' two sets of spans it makes, the program says.
import { openai } from "@ai-sdk/openai";
import { registerTelemetry, stepCountIs, tool, ToolLoopAgent } from "ai";
import { z } from "zod";
import { forecast, isStreamed, name, perform, question, signal } from "./scenario.js";

const agent = new ToolLoopAgent({
  id: name,
  model: openai.chat("gpt-4o-mini"),
  tools: {
    forecast: tool({
      description: "The weather in a city",
      inputSchema: z.object({ city: z.string() }),
      execute: forecast,
    }),
  },
  stopWhen: stepCountIs(5),
  maxRetries: 0,
  telemetry: { functionId: name },
});
const asked = { prompt: question, abortSignal: signal };

export async function performWith(telemetry) {
  registerTelemetry(telemetry);
  await perform(async () => (isStreamed ? (await agent.stream(asked)).text : (await agent.generate(asked)).text));
}

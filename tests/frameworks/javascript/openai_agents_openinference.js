// SPDX-License-Identifier: Apache-2.0
// OpenAI Agents SDK for JavaScript under OpenInference's instrumentation.
import { OpenAIAgentsInstrumentation } from "@arizeai/openinference-instrumentation-openai-agents";
import * as agents from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { forecast, isStreamed, name, perform, question, signal } from "./scenario.js";
import { provider } from "./telemetry.js";

new OpenAIAgentsInstrumentation({ tracerProvider: provider }).manuallyInstrument(agents);
agents.setDefaultOpenAIClient(new OpenAI({ maxRetries: 0 }));

const agent = new agents.Agent({
  name,
  model: "gpt-4o-mini",
  tools: [
    agents.tool({
      name: "forecast",
      description: "The weather in a city",
      parameters: z.object({ city: z.string() }),
      execute: forecast,
    }),
  ],
});

async function streamed() {
  const stream = await agents.run(agent, question, { signal, stream: true });
  for await (const event of stream);
  await stream.completed;
  return stream.finalOutput;
}

await perform(async () => (isStreamed ? streamed() : (await agents.run(agent, question, { signal })).finalOutput));

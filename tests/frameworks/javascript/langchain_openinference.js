// SPDX-License-Identifier: Apache-2.0
// LangChain.js, whose agent is a graph of LangGraph.js, under OpenInference's instrumentation.
import { LangChainInstrumentation } from "@arizeai/openinference-instrumentation-langchain";
import * as CallbackManagerModule from "@langchain/core/callbacks/manager";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { z } from "zod";
import { forecast, isStreamed, name, perform, question, signal } from "./scenario.js";

new LangChainInstrumentation().manuallyInstrument(CallbackManagerModule);

const agent = createAgent({
  name,
  model: new ChatOpenAI({ model: "gpt-4o-mini", maxRetries: 0 }),
  tools: [
    tool(forecast, {
      name: "forecast",
      description: "The weather in a city",
      schema: z.object({ city: z.string() }),
    }),
  ],
});
const asked = { messages: [{ role: "user", content: question }] };

async function streamed() {
  let last;
  for await (const state of await agent.stream(asked, { signal, streamMode: "values" })) last = state;
  return last;
}

await perform(async () => {
  const state = isStreamed ? await streamed() : await agent.invoke(asked, { signal });
  return state.messages.at(-1).text;
});

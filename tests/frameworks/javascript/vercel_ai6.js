// SPDX-License-Identifier: Apache-2.0
// Vercel AI SDK 6, which has its spans built in.
import { openai } from "@ai-sdk/openai-6";
import { generateText, stepCountIs, streamText, tool } from "ai-6";
import { z } from "zod";
import { forecast, isStreamed, name, perform, question, signal } from "./scenario.js";

const options = {
  model: openai.chat("gpt-4o-mini"),
  prompt: question,
  tools: {
    forecast: tool({
      description: "The weather in a city",
      inputSchema: z.object({ city: z.string() }),
      execute: forecast,
    }),
  },
  stopWhen: stepCountIs(5),
  maxRetries: 0,
  abortSignal: signal,
  experimental_telemetry: { isEnabled: true, functionId: name },
};

await perform(async () => (isStreamed ? await streamText(options).text : (await generateText(options)).text));

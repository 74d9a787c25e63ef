// SPDX-License-Identifier: Apache-2.0
// `node PROGRAM SCENARIO NAME`: what a user's program does with its agent. A line on standard input cancels the run.
// Standard output has a line for each call of the tool, then what the user is told: the answer or the error's name.
import { provider } from "./telemetry.js";

export const [scenario, name] = process.argv.slice(2);
export const isStreamed = scenario === "streamed";
export const question = "What is the weather in Paris?";
export function forecast({ city }) {
  console.log(`forecast of ${city}`);
  return `Sunny in ${city}`;
}

const controller = new AbortController();
export const { signal } = controller;
process.stdin.once("data", () => controller.abort());

export async function perform(agent) {
  try {
    console.log(await agent());
  } catch (error) {
    console.log(error.name);
  }
  process.stdin.destroy();
  // Some spans end after the user has the answer: what is left to be done is done first, as in a server.
  process.once("beforeExit", () => provider.shutdown());
}

// SPDX-License-Identifier: Apache-2.0
// Vercel AI SDK 7 with its OpenTelemetry package.
import { OpenTelemetry } from "@ai-sdk/otel";
import { performWith } from "./vercel_ai7_agent.js";

await performWith(new OpenTelemetry());

// Prints the attributes of the spans that the AI SDK sends for one call of each provider.
//
// Run it in a directory where ai, @ai-sdk/openai, @ai-sdk/anthropic, @ai-sdk/google,
// @opentelemetry/sdk-trace-node and (for ai 7) @ai-sdk/otel are installed, with the address that
// `python stand_in.py` prints:
//
//     ADDRESS=http://127.0.0.1:1234 node capture_ai_sdk.mjs

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.cwd()}/package.json`));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const address = process.env.ADDRESS;

const { NodeTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = await load(
  "@opentelemetry/sdk-trace-node",
);
const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();

const ai = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createAnthropic } = await load("@ai-sdk/anthropic");
const { createGoogleGenerativeAI } = await load("@ai-sdk/google");
let telemetry = { experimental_telemetry: { isEnabled: true } };
try {
  const otel = await load("@ai-sdk/otel");
  const integration = new (otel.OpenTelemetry ?? otel.OpenTelemetryIntegration)();
  telemetry = { telemetry: { isEnabled: true, integrations: [integration] } };
} catch (error) {
  console.error(String(error).slice(0, 200));
}

const openai = createOpenAI({ baseURL: `${address}/v1`, apiKey: "k" });
const models = [
  openai.chat ? openai.chat("gpt-5-mini") : openai("gpt-5-mini"),
  openai.responses("gpt-5-mini"),
  createAnthropic({ baseURL: `${address}/v1`, apiKey: "k" })("claude-sonnet-4-5"),
  createGoogleGenerativeAI({ baseURL: `${address}/v1beta`, apiKey: "k" })("gemini-2.5-flash"),
];
for (const model of models) {
  try {
    await ai.generateText({ model, prompt: "Is it?", maxRetries: 0, ...telemetry });
  } catch (error) {
    console.error(model.provider, String(error).slice(0, 300));
  }
}
const isText = (key) => /prompt|messages|content|response\.text|toolCalls|\.headers/.test(key);
for (const span of exporter.getFinishedSpans()) {
  const scope = span.instrumentationScope ?? span.instrumentationLibrary;
  const attributes = Object.fromEntries(
    Object.entries(span.attributes).filter(([key]) => /usage|okens/.test(key) || !isText(key)),
  );
  console.log(JSON.stringify({ scope: scope.name, version: scope.version, name: span.name, attributes }));
}

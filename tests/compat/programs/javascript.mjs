// Makes the calls of version 3, 4 or 5 of Langfuse's JavaScript SDK, and prints their states.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { apiCalls, isMissing } from "./javascript_api.mjs";

console.error = console.warn = () => {}; // of prompts that do not exist
const WITHIN_MS = 60_000;
const results = {};
const missing = new Set(); // calls that got a 404 or 405
const host = process.env.LANGFUSE_BASEURL;
const keys = `${process.env.LANGFUSE_PUBLIC_KEY}:${process.env.LANGFUSE_SECRET_KEY}`;
const headers = { authorization: `Basic ${Buffer.from(keys).toString("base64")}` };
const prefix = `js-${randomUUID().slice(0, 8)}`;
const session = `${prefix} session`;

async function call(name, there, run) {
  if (!there) {
    results[name] = "not in the SDK";
    return;
  }
  try {
    await run();
    results[name] = "works";
  } catch (error) {
    if (isMissing(error)) missing.add(name);
    results[name] = `fails: ${String(error.message).slice(0, 300)}`;
  }
}

async function notServed(name, there, run) {
  await call(name, there, run);
  if (missing.has(name)) results[name] = "not served";
}

async function status(path) {
  return (await fetch(`${host}${path}`, { headers })).status;
}

async function content(url) {
  return (await fetch(url)).text();
}

async function read(path, parameters = {}) {
  const answer = await fetch(`${host}${path}?${new URLSearchParams(parameters)}`, { headers });
  assert(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

async function eventually(find) {
  const deadline = Date.now() + WITHIN_MS;
  for (;;) {
    let error = null;
    const found = await Promise.resolve(find()).catch((failure) => {
      error = failure;
    });
    if (found) return found;
    if (Date.now() > deadline) throw error ?? new Error("not visible in time");
    await new Promise((done) => setTimeout(done, 50));
  }
}

const complete = (id, observations, scores) =>
  eventually(async () => {
    const trace = await read(`/api/public/traces/${id}`);
    const is = trace.observations.length >= observations && trace.scores.length >= scores;
    return is && trace;
  });

async function prompts({ create, get, update, remove }) {
  const name = `${prefix}/greeting`;
  await call("prompt: create, get, compile", true, async () => {
    await create({ name, prompt: "Hi {{who}}", labels: ["production"] });
    assert.equal((await get(name)).compile({ who: "Ada" }), "Hi Ada");
    const options = { fallback: "none", maxRetries: 0 };
    assert.equal((await get(`${prefix}/absent`, options)).prompt, "none");
  });
  await call("prompt: chat, placeholders", true, async () => {
    const chat = `${prefix}/folder/chat 1`;
    const messages = [
      { role: "system", content: "Be {{tone}}" },
      { type: "placeholder", name: "history" },
    ];
    await create({ name: chat, type: "chat", prompt: messages, labels: ["production"] });
    const found = await get(chat, { type: "chat" });
    const history = [{ role: "user", content: "Hi" }];
    const compiled = found.compile({ tone: "kind" }, { history });
    assert.deepEqual(compiled.map((each) => each.content), ["Be kind", "Hi"]);
  });
  await call("prompt: update", true, async () => {
    await update({ name, version: 1, newLabels: ["staging"] });
    assert.equal((await get(name, { label: "staging", cacheTtlSeconds: 0 })).version, 1);
  });
  await call("prompt: delete", remove, async () => {
    await remove(name);
    assert.deepEqual((await read("/api/public/v2/prompts", { name })).data, []);
  });
}

async function version3() {
  const { Langfuse, LangfuseMedia } = await import("langfuse");
  const langfuse = new Langfuse();
  const trace = langfuse.trace({ name: prefix, userId: "ada", sessionId: session, tags: ["a"] });
  trace.update({ input: "q", output: "a", metadata: { plan: "pro" } });
  const span = trace.span({ name: "span", input: { q: 1 } });
  const generation = span.generation({ name: "generation", model: "gpt-4o-mini" });
  generation.update({ metadata: { k: "v" } });
  generation.end({ output: "a", usage: { input: 10, output: 5 } });
  span.update({ level: "WARNING" });
  span.end({ output: "o" });
  trace.event({ name: "event" });
  trace.score({ name: "trace score", value: 0.5 });
  langfuse.score({ traceId: trace.id, name: "direct", value: "good", dataType: "CATEGORICAL" });
  await langfuse.flushAsync();
  const found = await complete(trace.id, 3, 2);
  const named = Object.fromEntries(found.observations.map((each) => [each.name, each]));
  await call("trace, trace.update", true, () => {
    assert.deepEqual([found.userId, found.sessionId, found.output], ["ada", session, "a"]);
  });
  await call("span, span.update, span.end", true, () => {
    assert.deepEqual([named.span.output, named.span.level], ["o", "WARNING"]);
  });
  await call("generation, generation.update, generation.end", true, () => {
    assert.deepEqual([named.generation.usage.total, named.generation.metadata.k], [15, "v"]);
    assert(named.generation.calculatedTotalCost > 0);
  });
  await call("event", true, () => assert.equal(named.event.type, "EVENT"));
  await call("trace.score, score", true, () => {
    assert.deepEqual(found.scores.map((each) => each.name).sort(), ["direct", "trace score"]);
  });
  await call("fetchTrace, fetchTraces", true, async () => {
    assert.equal((await langfuse.fetchTrace(trace.id)).data.id, trace.id);
    assert.equal((await langfuse.fetchTraces({ name: prefix })).data[0].id, trace.id);
  });
  await call("fetchObservation, fetchObservations", true, async () => {
    assert.equal((await langfuse.fetchObservation(span.id)).data.name, "span");
    assert.equal((await langfuse.fetchObservations({ traceId: trace.id })).data.length, 3);
  });
  await call("fetchSessions", true, async () => {
    const { data } = await langfuse.fetchSessions({ limit: 100 });
    assert(data.some((each) => each.id === session));
  });
  await prompts({
    create: (body) => langfuse.createPrompt(body),
    get: (name, options) => langfuse.getPrompt(name, undefined, options),
    update: (body) => langfuse.updatePrompt(body),
  });
  const set = `${prefix}/set`;
  await call("dataset: create, items, get", true, async () => {
    await langfuse.createDataset(set);
    await langfuse.createDatasetItem({ datasetName: set, input: { n: 1 }, expectedOutput: 1 });
    assert.deepEqual((await langfuse.getDataset(set)).items.map((each) => each.input), [{ n: 1 }]);
  });
  await call("dataset: item.link, runs", true, async () => {
    const [item] = (await langfuse.getDataset(set)).items;
    await item.link(trace, "run/1");
    const { data } = await langfuse.getDatasetRuns(set);
    assert.deepEqual(data.map((each) => each.name), ["run/1"]);
    const run = await langfuse.getDatasetRun({ datasetName: set, runName: "run/1" });
    assert.equal(run.datasetRunItems[0].traceId, trace.id);
  });
  await call("createDatasetRunItem, getDatasetItem", true, async () => {
    const [item] = (await langfuse.getDataset(set)).items;
    assert.deepEqual((await langfuse.getDatasetItem(item.id)).input, { n: 1 });
    const of = { datasetItemId: item.id, traceId: trace.id };
    await langfuse.createDatasetRunItem({ runName: "run/2", ...of });
    const run = { datasetName: set, runName: "run/2" };
    const { datasetRunItems } = await langfuse.getDatasetRun(run);
    assert.deepEqual(datasetRunItems.map((each) => each.traceId), [trace.id]);
  });
  await call("LangfuseMedia, fetchMedia, resolveMediaReferences", true, async () => {
    const bytes = Buffer.from(`a picture of ${prefix}`);
    const image = new LangfuseMedia({ contentBytes: bytes, contentType: "image/png" });
    const { id } = langfuse.trace({ name: "with media", input: { image } });
    await langfuse.flushAsync();
    const { input } = await eventually(() => read(`/api/public/traces/${id}`));
    assert.match(input.image, /^@@@langfuseMedia:/);
    const { mediaId } = LangfuseMedia.parseReferenceString(input.image);
    await eventually(async () => {
      const { url } = await langfuse.fetchMedia(mediaId);
      return (await content(url)) === bytes.toString();
    });
    const options = { obj: input, resolveWith: "base64DataUri" };
    const resolved = await langfuse.resolveMediaReferences(options);
    assert.equal(resolved.image, `data:image/png;base64,${bytes.toString("base64")}`);
  });
  await call("getTraceUrl", true, () => {
    assert(new URL(trace.getTraceUrl()).pathname.endsWith(`/${trace.id}`));
  });
  await langfuse.shutdownAsync();
}

async function version4or5({ LangfuseClient }) {
  const { LangfuseSpanProcessor } = await import("@langfuse/otel");
  const tracing = await import("@langfuse/tracing");
  const { NodeSDK } = await import("@opentelemetry/sdk-node");
  const processor = new LangfuseSpanProcessor();
  const sdk = new NodeSDK({ spanProcessors: [processor] });
  sdk.start();
  const langfuse = new LangfuseClient();
  const flush = () => Promise.all([processor.forceFlush(), langfuse.flush()]);
  let traceId;
  const traced = (root) => {
    traceId = root.traceId;
    root.update({ input: "q", output: "a" });
    const child = tracing.startObservation("span", { input: { q: 1 } });
    child.update({ output: "o", level: "WARNING" }).end();
    const generation = root.startObservation(
      "generation",
      { model: "gpt-4o-mini", metadata: { k: "v" } },
      { asType: "generation" },
    );
    generation.update({ usageDetails: { input: 10, output: 5 } }).end();
    root.startObservation("tool", {}, { asType: "tool" }).end();
    langfuse.score.activeTrace({ name: "active trace", value: 0.5 });
    langfuse.score.activeObservation({ name: "active", value: 1, dataType: "BOOLEAN" });
    langfuse.score.observation({ otelSpan: child.otelSpan }, { name: "of span", value: "good" });
  };
  const attributes = { userId: "ada", sessionId: session, tags: ["a"], metadata: { plan: "pro" } };
  const about = { ...attributes, traceName: prefix };
  await tracing.propagateAttributes(about, async () =>
    tracing.startActiveObservation(prefix, async (root) => traced(root)),
  );
  langfuse.score.create({ traceId, name: "direct", value: 3 });
  await flush();
  const found = await complete(traceId, 4, 4);
  const named = Object.fromEntries(found.observations.map((each) => [each.name, each]));
  await call("propagateAttributes", true, () => {
    assert.deepEqual([found.name, found.userId, found.sessionId], [prefix, "ada", session]);
    assert.deepEqual([found.tags, found.metadata.plan], [["a"], "pro"]);
  });
  await call("startActiveObservation, startObservation", true, () => {
    assert.deepEqual([found.input, found.output], ["q", "a"]);
    const { span, tool } = named;
    assert.deepEqual([span.output, span.level, tool.type], ["o", "WARNING", "TOOL"]);
    assert.deepEqual([named.generation.usage.total, named.generation.metadata.k], [15, "v"]);
    assert(named.generation.calculatedTotalCost > 0);
  });
  await call("observe", true, async () => {
    const observed = tracing.observe(() => tracing.getActiveTraceId(), { name: "observed" });
    const id = observed();
    await flush();
    assert.equal((await complete(id, 1, 0)).observations[0].name, "observed");
  });
  await call("score: create, observation, activeTrace, activeObservation", true, () => {
    const names = found.scores.map((each) => each.name).sort();
    assert.deepEqual(names, ["active", "active trace", "direct", "of span"]);
  });
  await prompts({
    create: (body) => langfuse.prompt.create(body),
    get: (name, options) => langfuse.prompt.get(name, options),
    update: (body) => langfuse.prompt.update(body),
    remove: langfuse.prompt.delete && ((name) => langfuse.prompt.delete(name)),
  });
  const set = `${prefix}/set`;
  await call("dataset: create, items, get", true, async () => {
    await langfuse.api.datasets.create({ name: set });
    for (const n of [1, 2]) {
      await langfuse.api.datasetItems.create({
        datasetName: set,
        id: `${prefix}-${n}`,
        input: { n },
        expectedOutput: n,
      });
    }
    assert.equal((await langfuse.dataset.get(set)).items.length, 2);
  });
  await call("dataset: item.link, runs", true, async () => {
    const [item] = (await langfuse.dataset.get(set)).items;
    const span = tracing.startObservation("linked");
    span.end();
    await item.link({ otelSpan: span.otelSpan }, "run/1");
    const run = await langfuse.api.datasets.getRun(set, "run/1");
    assert.equal(run.datasetRunItems[0].traceId, span.traceId);
  });
  await call("dataset.runExperiment", true, async () => {
    const dataset = await langfuse.dataset.get(set);
    const result = await dataset.runExperiment({
      name: "e",
      runName: "run/2",
      task: async ({ input }) => input.n,
      evaluators: [async ({ output }) => ({ name: "right", value: output })],
      runEvaluators: [async () => ({ name: "mean", value: 1 })],
    });
    await flush();
    const run = await langfuse.api.datasets.getRun(set, "run/2");
    assert.deepEqual([run.datasetRunItems.length, result.itemResults.length], [2, 2]);
    await eventually(async () => {
      const scores = await read("/api/public/v2/scores", { datasetRunId: run.id });
      return scores.data.length === 1;
    });
  });
  await call("experiment.run on local data", true, async () => {
    const runName = `${prefix} local`;
    await langfuse.experiment.run({
      name: "e",
      runName,
      data: [{ input: "a" }, { input: "b" }],
      task: async ({ input }) => input,
    });
    await flush();
    const since = { fromStartTime: "2026-01-01T00:00:00Z", experimentName: runName };
    await eventually(async () => {
      const { data } = await read("/api/public/experiment-items", since);
      return data.length === 2;
    });
  });
  await call("media.resolveReferences, LangfuseMedia", true, async () => {
    const { LangfuseMedia } = await import("@langfuse/core");
    const bytes = Buffer.from(`a picture of ${prefix}`);
    const media = new LangfuseMedia({
      source: "bytes",
      contentBytes: bytes,
      contentType: "image/png",
    });
    const span = tracing.startObservation("with media", { input: { image: media } });
    span.end();
    await flush();
    const { input } = (await complete(span.traceId, 1, 0)).observations[0];
    assert.match(input.image, /^@@@langfuseMedia:/);
    const options = { obj: input, resolveWith: "base64DataUri" };
    // The SDK uploads media on its own, not when it is flushed.
    await eventually(async () => {
      const { image } = await langfuse.media.resolveReferences(options);
      return image === `data:image/png;base64,${bytes.toString("base64")}`;
    });
  });
  await call("getTraceUrl", true, async () => {
    const url = new URL(await langfuse.getTraceUrl(traceId));
    assert(url.pathname.endsWith(`/traces/${traceId}`));
  });
  const experiment = (await langfuse.api.datasets.getRun(set, "run/2")).id;
  const made = { trace: traceId, observation: named.generation.id, prefix, session, experiment };
  made.localRun = `${prefix} local`;
  await apiCalls(langfuse.api, { call, notServed, eventually, read, status, content }, made);
  await sdk.shutdown();
  await langfuse.shutdown();
}

const client = await import("@langfuse/client").catch(() => null);
await (client ? version4or5(client) : version3());
console.log(JSON.stringify(results));

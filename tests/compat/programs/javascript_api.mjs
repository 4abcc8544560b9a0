// Makes the calls of the generated client that versions 4 and 5 of the JavaScript SDK share.
import assert from "node:assert";
import { createHash, randomUUID } from "node:crypto";

const HOUR_MS = 3_600_000;
const NOT_SERVED = new Set([404, 405]);
const ids = (found) => found.data.map((each) => each.id);
const at = (offset) => new Date(Date.now() + offset).toISOString();

// `made` is what the program sent: trace, observation, prefix, and the runs of experiments.
export async function apiCalls(api, tools, made) {
  await reads(api, tools, made);
  await scores(api, tools, made);
  await records(api, tools, made);
  await datasets(api, tools, made);
  await promptsAndMedia(api, tools, made);
  await writes(api, tools, made);
  for (const [group, name, ...fields] of [
    ["annotationQueues", "listQueues"],
    ["llmConnections", "list"],
    ["blobStorageIntegrations", "getBlobStorageIntegrations"],
    ["organizations", "getOrganizationProjects"],
    ["scim", "getServiceProviderConfig"],
    ["evaluators", "list"],
    ["evaluationRules", "list"],
    ["feedback", "submit", { targetType: "docs", target: "x", feedback: "y" }],
  ]) {
    await tools.notServed(`api.${group}`, api[group], () => api[group][name](...fields));
  }
  const dashboards = api.unstable?.dashboards;
  await tools.notServed("api.unstable.dashboards", dashboards, () => dashboards.list());
  await tools.call("api.trace.delete, deleteMultiple", true, async () => {
    await api.trace.delete(made.trace);
    await api.trace.deleteMultiple({ traceIds: [made.otherTrace] });
    for (const id of [made.trace, made.otherTrace]) {
      await tools.eventually(async () => (await tools.status(`/api/public/traces/${id}`)) === 404);
    }
  });
}

export const isMissing = (error) => NOT_SERVED.has(error.statusCode);

async function reads(api, { call }, { trace, observation, prefix, session }) {
  const v1 = api.legacy?.observationsV1 ?? api.observations;
  await call("api.trace.get, list", true, async () => {
    assert.equal((await api.trace.get(trace)).id, trace);
    assert.equal((await api.trace.list({ name: prefix })).data[0].id, trace);
  });
  await call("api.sessions.get, list", true, async () => {
    assert.equal((await api.sessions.get(session)).traces[0].id, trace);
    assert(ids(await api.sessions.list({ limit: 100 })).includes(session));
  });
  await call("api.observations, api.legacy.observationsV1: get, getMany", true, async () => {
    assert.equal((await v1.get(observation)).traceId, trace);
    assert(ids(await v1.getMany({ traceId: trace })).includes(observation));
  });
  const v2 = api.observationsV2 ?? api.observations;
  await call("api.observationsV2, api.observations of version 5: getMany", true, async () => {
    const found = await v2.getMany({ traceId: trace, fields: "core,basic" });
    assert(ids(found).includes(observation));
  });
  const query = JSON.stringify({
    view: "observations",
    metrics: [{ measure: "count", aggregation: "count" }],
    dimensions: [],
    filters: [{ column: "traceName", operator: "=", value: prefix, type: "string" }],
    fromTimestamp: at(-HOUR_MS),
    toTimestamp: at(HOUR_MS),
  });
  for (const [name, client] of [
    ["api.metrics, api.legacy.metricsV1", api.legacy?.metricsV1 ?? api.metrics],
    ["api.metricsV2, api.metrics of version 5", api.metricsV2 ?? api.metrics],
  ]) {
    await call(name, true, async () => {
      const { data } = await client.metrics({ query });
      assert.equal(Number(data[0].count_count), 4);
    });
  }
  await call("api.projects.get, health", true, async () => {
    assert.equal((await api.projects.get()).data.length, 1);
    assert.equal((await api.health.health()).status, "OK");
  });
}

async function scores(api, { call, eventually, read }, { trace, experiment }) {
  const writer = api.score ?? api.scores;
  const named = async (name) =>
    (await read("/api/public/v2/scores", { traceId: trace, name })).data[0];
  const given = { NUMERIC: 0.5, BOOLEAN: 1, CATEGORICAL: "good", TEXT: "well put" };
  given.CORRECTION = "a better answer";
  for (const [dataType, value] of Object.entries(given)) {
    await call(`api.scores.create ${dataType}`, true, async () => {
      const name = dataType === "CORRECTION" ? "output" : `api ${dataType}`;
      await writer.create({ traceId: trace, name, value, dataType });
      const found = await eventually(() => named(name));
      const stored = typeof value === "number" ? found.value : found.stringValue;
      assert.equal(found.dataType, dataType);
      assert(dataType === "CORRECTION" || stored === value);
    });
  }
  const numeric = await eventually(() => named("api NUMERIC"));
  const v2 = api.scoreV2;
  await call("api.scoreV2: get, getById", v2, async () => {
    assert(ids(await v2.get({ traceId: trace })).includes(numeric.id));
    assert.equal((await v2.getById(numeric.id)).value, 0.5);
  });
  await call("api.scores: getMany, getById", api.scores?.getMany, async () => {
    assert(ids(await api.scores.getMany({ traceId: trace })).includes(numeric.id));
    assert.equal((await api.scores.getById(numeric.id)).value, 0.5);
  });
  await call("api.scoresV3.getManyV3", api.scoresV3, async () => {
    assert(ids(await api.scoresV3.getManyV3({ traceId: trace })).includes(numeric.id));
    const ofRun = await api.scoresV3.getManyV3({ experimentId: experiment, fields: "subject" });
    assert.deepEqual(ofRun.data.map((each) => each.subject.kind), ["experiment"]);
  });
  await call("api.scores.delete", writer.delete, async () => {
    await writer.delete(numeric.id);
    await eventually(async () => !(await named("api NUMERIC")));
  });
  await call("api.legacy.scoreV1: create, delete", api.legacy?.scoreV1, async () => {
    const { id } = await api.legacy.scoreV1.create({ traceId: trace, name: "legacy", value: 1 });
    await eventually(() => named("legacy"));
    await api.legacy.scoreV1.delete(id);
    await eventually(async () => !(await named("legacy")));
  });
}

async function records(api, { call }, { trace, prefix }) {
  const project = (await api.projects.get()).data[0].id;
  await call("api.comments: create, get, getById", true, async () => {
    const subject = { objectType: "TRACE", objectId: trace };
    const { id } = await api.comments.create({ projectId: project, ...subject, content: "odd" });
    assert.deepEqual(ids(await api.comments.get(subject)), [id]);
    assert.equal((await api.comments.getById(id)).content, "odd");
  });
  const model = { matchPattern: `(?i)^${prefix}$`, unit: "TOKENS", inputPrice: 0.000002 };
  await call("api.models: create, get, list, delete", true, async () => {
    const { id } = await api.models.create({ modelName: `${prefix}-model`, ...model });
    assert.equal((await api.models.get(id)).inputPrice, 0.000002);
    assert(ids(await api.models.list({ limit: 100 })).includes(id));
    await api.models.delete(id);
    assert(!ids(await api.models.list({ limit: 100 })).includes(id));
  });
  await call("api.models.upsert", api.models.upsert, async () => {
    const { id } = await api.models.create({ modelName: `${prefix}-2`, ...model });
    const changed = { modelName: `${prefix}-2`, ...model, inputPrice: 0.000003 };
    await api.models.upsert(id, changed);
    assert.equal((await api.models.get(id)).inputPrice, 0.000003);
  });
  await call("api.scoreConfigs: create, get, getById, update", true, async () => {
    const body = { name: `${prefix} grade`, dataType: "CATEGORICAL" };
    const categories = [{ value: 1, label: "good" }];
    const { id } = await api.scoreConfigs.create({ ...body, categories });
    assert.equal((await api.scoreConfigs.getById(id)).categories[0].label, "good");
    assert(ids(await api.scoreConfigs.get({ limit: 100 })).includes(id));
    await api.scoreConfigs.update(id, { isArchived: true });
    assert((await api.scoreConfigs.getById(id)).isArchived);
  });
  await call("api.projects: createApiKey, getApiKeys, deleteApiKey", true, async () => {
    const options = { headers: { Authorization: `Bearer ${process.env.ADMIN_SECRET_KEY}` } };
    const keys = async () =>
      (await api.projects.getApiKeys(project, options)).apiKeys.map((each) => each.id);
    const made = await api.projects.createApiKey(project, { note: "of a test" }, options);
    assert(made.secretKey.startsWith("sk-"));
    assert((await keys()).includes(made.id));
    await api.projects.deleteApiKey(project, made.id, options);
    assert(!(await keys()).includes(made.id));
  });
}

async function datasets(api, { call }, { trace, prefix }) {
  const name = `${prefix}/records`;
  const item = `${prefix}-record`;
  await call("api.datasets: create, get, list", true, async () => {
    await api.datasets.create({ name });
    assert.equal((await api.datasets.get(name)).name, name);
    assert((await api.datasets.list({ limit: 100 })).data.some((each) => each.name === name));
  });
  await call("api.datasetItems: create, get, list", true, async () => {
    const source = { sourceTraceId: trace };
    await api.datasetItems.create({ datasetName: name, id: item, input: "a", ...source });
    assert.equal((await api.datasetItems.get(item)).sourceTraceId, trace);
    assert.deepEqual(ids(await api.datasetItems.list(source)), [item]);
  });
  const runName = "r 1";
  await call("api.datasetRunItems: create, list", true, async () => {
    const body = { runName, datasetItemId: item, traceId: trace };
    const { id } = await api.datasetRunItems.create(body);
    const datasetId = (await api.datasets.get(name)).id;
    assert.deepEqual(ids(await api.datasetRunItems.list({ datasetId, runName })), [id]);
  });
  await call("api.datasets: getRun, getRuns, deleteRun", true, async () => {
    const run = await api.datasets.getRun(name, runName);
    assert.equal(run.datasetRunItems[0].traceId, trace);
    assert.deepEqual(ids(await api.datasets.getRuns(name)), [run.id]);
    await api.datasets.deleteRun(name, runName);
    assert.deepEqual(ids(await api.datasets.getRuns(name)), []);
  });
  await call("api.datasetItems.delete", true, async () => {
    await api.datasetItems.delete(item);
    assert.deepEqual(ids(await api.datasetItems.list({ datasetName: name })), []);
  });
}

async function promptsAndMedia(api, { call, content }, { trace, prefix }) {
  const name = `${prefix}/folder/a b`;
  await call("api.prompts: create, get, list", true, async () => {
    const prompt = [{ role: "system", content: "Hi {{who}}" }];
    await api.prompts.create({ type: "chat", name, prompt, labels: ["production"], tags: ["t"] });
    const found = await api.prompts.get(name);
    assert.deepEqual([found.version, found.prompt[0].content], [1, "Hi {{who}}"]);
    assert.deepEqual((await api.prompts.list({ name })).data[0].versions, [1]);
  });
  await call("api.promptVersion.update", true, async () => {
    await api.promptVersion.update(name, 1, { newLabels: ["moved"] });
    assert.equal((await api.prompts.get(name, { label: "moved" })).version, 1);
  });
  await call("api.prompts.delete", api.prompts.delete, async () => {
    await api.prompts.delete(name);
    assert.deepEqual((await api.prompts.list({ name })).data, []);
  });
  await call("api.media: getUploadUrl, patch, get", true, async () => {
    const bytes = Buffer.from(`an image of ${prefix}`);
    const sha256Hash = createHash("sha256").update(bytes).digest("base64");
    const about = { traceId: trace, field: "input", contentType: "image/png", sha256Hash };
    const { mediaId, uploadUrl } = await api.media.getUploadUrl({
      ...about,
      contentLength: bytes.length,
    });
    const headers = { "content-type": "image/png", "x-amz-checksum-sha256": sha256Hash };
    assert((await fetch(uploadUrl, { method: "PUT", body: bytes, headers })).ok);
    await api.media.patch(mediaId, { uploadedAt: at(0), uploadHttpStatus: 200 });
    assert.equal(await content((await api.media.get(mediaId)).url), bytes.toString());
  });
}

async function writes(api, { call, eventually, read }, made) {
  made.otherTrace = randomUUID().replaceAll("-", "");
  await call("api.ingestion.batch", true, async () => {
    const body = { id: made.otherTrace, name: "batched", metadata: { n: 1 } };
    const event = { id: randomUUID(), timestamp: at(0), type: "trace-create", body };
    const { successes, errors } = await api.ingestion.batch({ batch: [event] });
    assert.deepEqual([successes.length, errors], [1, []]);
    const found = await eventually(() => read(`/api/public/traces/${made.otherTrace}`));
    assert.deepEqual([found.name, found.metadata], ["batched", { n: 1 }]);
  });
  await call("api.opentelemetry.exportTraces", true, async () => {
    const traceId = randomUUID().replaceAll("-", "");
    const startNs = BigInt(Date.now()) * 1_000_000n;
    const span = { traceId, spanId: traceId.slice(16), name: "exported", kind: 1, attributes: [] };
    const times = { startTimeUnixNano: `${startNs}`, endTimeUnixNano: `${startNs + 1_000_000n}` };
    const spans = [{ ...span, ...times, status: {} }];
    const scopeSpans = [{ scope: { name: "s", attributes: [] }, spans }];
    const resource = { attributes: [] };
    await api.opentelemetry.exportTraces({ resourceSpans: [{ resource, scopeSpans }] });
    const found = await eventually(async () => {
      const trace = await read(`/api/public/traces/${traceId}`);
      return trace.observations.length > 0 && trace; // rows of a trace may be visible before them
    });
    assert.deepEqual(found.observations.map((each) => each.name), ["exported"]);
  });
  await call("api.experiments: list, listItems", api.experiments, async () => {
    const since = { fromStartTime: at(-HOUR_MS) };
    const listed = await api.experiments.list({ ...since, id: made.experiment });
    assert.deepEqual(ids(listed), [made.experiment]);
    const items = await api.experiments.listItems({ ...since, experimentName: made.localRun });
    assert.equal(items.data.length, 2);
  });
}

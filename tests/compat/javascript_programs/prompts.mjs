// Uses prompts as people do with each version of the SDK; prints the name of the prompt as JSON.
import assert from "node:assert";
import { randomUUID } from "node:crypto";

console.error = console.warn = () => {}; // of prompts that do not exist

async function operations() {
  try {
    const { LangfuseClient } = await import("@langfuse/client");
    const { prompt } = new LangfuseClient();
    return {
      create: (body) => prompt.create(body),
      get: (name, options) => prompt.get(name, options),
      update: (body) => prompt.update(body),
      remove: prompt.delete && ((name, options) => prompt.delete(name, options)),
    };
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    const { Langfuse } = await import("langfuse");
    const langfuse = new Langfuse();
    return {
      create: (body) => langfuse.createPrompt(body),
      get: (name, { version, ...options } = {}) => langfuse.getPrompt(name, version, options),
      update: (body) => langfuse.updatePrompt(body),
    };
  }
}

async function usePrompts({ create, get, update, remove }) {
  const name = `folder/sub folder/greet-${randomUUID()}`;
  const text = "Hello, {{target}}! {custom} 三月 $1";
  const first = await create({
    name, prompt: text, labels: ["production"], tags: ["a"], config: { temperature: 0.5 },
  });
  assert.deepEqual([first.version, first.prompt, first.config], [1, text, { temperature: 0.5 }]);
  await create({ name, prompt: "second {{target}}", labels: ["staging"] });
  const found = await get(name);
  assert.equal(found.compile({ target: "world" }), text.replace("{{target}}", "world"));
  assert.deepEqual([found.version, found.labels, found.tags], [1, ["production"], ["a"]]);
  assert.equal((await get(name, { label: "latest" })).version, 2);
  assert.equal((await get(name, { version: 1 })).prompt, text);
  const chat = [
    { role: "system", content: "You are {{role}}" },
    { type: "placeholder", name: "history" },
    { role: "user", content: "{{q}}" },
  ];
  await create({ name: `${name}/chat`, type: "chat", prompt: chat, labels: ["production"] });
  const messages = (await get(`${name}/chat`, { type: "chat" })).compile(
    { role: "kind", q: "?" }, { history: [{ role: "user", content: "hi" }] },
  );
  assert.deepEqual(messages.map((each) => each.content), ["You are kind", "hi", "?"]);
  await update({ name, version: 2, newLabels: ["production", "x"] });
  assert.equal((await get(name)).version, 2);
  const fallback = await get(`${name}/absent`, { fallback: "fall {{x}}", maxRetries: 0 });
  assert.equal(fallback.compile({ x: "back" }), "fall back");
  if (remove) {
    await remove(name, { version: 2 });
    await assert.rejects(get(name, { version: 2, maxRetries: 0 }));
    assert.equal((await get(name, { label: "latest", maxRetries: 0 })).version, 1);
  }
  console.log(JSON.stringify({ name }));
}

await usePrompts(await operations());

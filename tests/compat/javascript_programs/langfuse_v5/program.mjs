// A program as people write them for the @langfuse packages 5.x; prints the ids it made, as JSON.
import { LangfuseClient } from "@langfuse/client";
import { LangfuseSpanProcessor } from "@langfuse/otel";
import { propagateAttributes, startActiveObservation, startObservation } from "@langfuse/tracing";
import { NodeSDK } from "@opentelemetry/sdk-node";

const processor = new LangfuseSpanProcessor({ environment: "staging", release: "2026.11" });
const sdk = new NodeSDK({ spanProcessors: [processor] });
sdk.start();
const langfuse = new LangfuseClient();

const question = { question: "Where is my invoice?" };
const made = { observations: {} };

async function answerQuestion(chain) {
  made.trace = chain.traceId;
  made.observations["answer-question"] = chain.id;
  chain.update({ input: question });
  chain.setTraceIO({ input: question, output: { answer: "Under Billing." } });

  const search = startObservation(
    "search",
    { input: "invoice", metadata: { index: "docs" } },
    { asType: "retriever" },
  );
  made.observations.search = search.id;
  search.update({ output: ["page 1", "page 2"] }).end();

  await startActiveObservation("write-answer", writeAnswer, { asType: "generation" });

  const mail = startObservation("send-mail", {}, { asType: "tool" });
  made.observations["send-mail"] = mail.id;
  mail.update({ level: "ERROR", statusMessage: "mailbox full" }).end();

  const shown = chain.startObservation(
    "shown",
    { input: { where: "chat" }, level: "DEBUG" },
    { asType: "event" },
  );
  made.observations.shown = shown.id;
  chain.update({ output: "Under Billing." });
  langfuse.score.activeTrace({ name: "helpful", value: 1, dataType: "BOOLEAN", comment: "thanks" });
}

async function writeAnswer(answer) {
  made.observations["write-answer"] = answer.id;
  answer.update({
    model: "gpt-4o-mini",
    modelParameters: { temperature: 0.2 },
    input: [{ role: "user", content: "Where is my invoice?" }],
  });
  const rerank = answer.startObservation(
    "rerank",
    { model: "in-house-reranker", input: "x" },
    { asType: "generation" },
  );
  made.observations.rerank = rerank.id;
  rerank.update({
    output: "y",
    usageDetails: { input: 10, output: 5 },
    costDetails: { input: 0.001, output: 0.002, total: 0.003 },
  });
  rerank.end();
  answer.update({
    output: "Under Billing.",
    usageDetails: { prompt_tokens: 1200, completion_tokens: 300, total_tokens: 1500 },
  });
  langfuse.score.observation(answer, { name: "tone", value: "friendly" });
}

const attributes = {
  traceName: "support-chat",
  userId: "ada",
  sessionId: "session-1",
  tags: ["beta", "alpha"],
  metadata: { plan: "pro" },
};
await propagateAttributes(attributes, () =>
  startActiveObservation("answer-question", answerQuestion),
);
await processor.forceFlush();
await langfuse.flush();
made.projects = (await langfuse.api.projects.get()).data.length;
console.log(JSON.stringify(made));
await sdk.shutdown();

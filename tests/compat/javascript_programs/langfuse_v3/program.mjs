// A program as people wrote them for langfuse 3.x of JavaScript; prints the ids it made, as JSON.
import { Langfuse } from "langfuse";

const langfuse = new Langfuse({ environment: "staging", release: "2026.11" });
const trace = langfuse.trace({
  name: "support-chat",
  userId: "ada",
  sessionId: "session-1",
  tags: ["beta", "alpha"],
  metadata: { plan: "pro" },
  input: { question: "Where is my invoice?" },
});
const chain = trace.span({
  name: "answer-question",
  input: { question: "Where is my invoice?" },
});
const search = chain.span({ name: "search", input: "invoice", metadata: { index: "docs" } });
search.end({ output: ["page 1", "page 2"] });
const answer = chain.generation({
  name: "write-answer",
  model: "gpt-4o-mini",
  modelParameters: { temperature: 0.2 },
  input: [{ role: "user", content: "Where is my invoice?" }],
});
const rerank = answer.generation({ name: "rerank", model: "in-house-reranker", input: "x" });
rerank.end({
  output: "y",
  usageDetails: { input: 10, output: 5 },
  costDetails: { input: 0.001, output: 0.002, total: 0.003 },
});
answer.end({
  output: "Under Billing.",
  usage: { promptTokens: 1200, completionTokens: 300 },
});
const mail = chain.span({ name: "send-mail" });
mail.end({ level: "ERROR", statusMessage: "mailbox full" });
const shown = chain.event({ name: "shown", input: { where: "chat" }, level: "DEBUG" });
chain.end({ output: "Under Billing." });
trace.update({ output: { answer: "Under Billing." } });
trace.score({ name: "helpful", value: 1, dataType: "BOOLEAN", comment: "thanks" });
answer.score({ name: "tone", value: "friendly" });
await langfuse.flushAsync();

const projects = await langfuse.api.projectsGet();
console.log(
  JSON.stringify({
    projects: projects.data.length,
    trace: trace.id,
    observations: {
      "answer-question": chain.id,
      search: search.id,
      "write-answer": answer.id,
      rerank: rerank.id,
      "send-mail": mail.id,
      shown: shown.id,
    },
  }),
);
await langfuse.shutdownAsync();

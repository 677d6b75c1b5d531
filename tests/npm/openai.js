// SPDX-License-Identifier: Apache-2.0
// Runs one scenario with the unmodified npm package openai and prints its result as JSON.
// Usage: node openai.js SCENARIO URL TOKEN MODEL   (from the folder where the package is installed)
"use strict";
const { createRequire } = require("module");
const installed = createRequire(process.cwd() + "/");
// The node-fetch that the package takes by itself reads no stream to its end in Debian 12's Node.js 18.20.4, whoever sends it
// (ERR_STREAM_PREMATURE_CLOSE): there the package is told to take the fetch of Node.js.
if (process.versions.node.startsWith("18.")) installed("openai/shims/web");
const OpenAI = installed("openai");

const [scenario, url, apiKey, model] = process.argv.slice(2);
const client = (options) => new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries: 0, ...options });
const openai = client();
const messages = [{ role: "user", content: "hello from the other side" }];

async function collect(stream, text) {
  const out = { text: "", chunks: 0, reasons: [], usage: [] };
  for await (const chunk of stream) {
    out.chunks++;
    if (chunk.usage) out.usage.push(chunk.usage.total_tokens);
    for (const choice of chunk.choices) {
      out.text += text(choice) ?? "";
      if (choice.finish_reason) out.reasons.push(choice.finish_reason);
    }
  }
  return out;
}

// What a caller catches: which of the package's classes, with what in it.
async function caught(call) {
  try {
    await call();
  } catch (e) {
    const kinds = ["AuthenticationError", "BadRequestError", "RateLimitError", "NotFoundError", "InternalServerError"];
    return { kinds: kinds.filter((k) => e instanceof OpenAI[k]), api: e instanceof OpenAI.APIError, status: e.status,
             code: e.code, type: e.type, param: e.param, request: e.request_id };
  }
  return {};
}

const scenarios = {
  async chat() {
    const r = await openai.chat.completions.create({ model, messages, max_tokens: 5 });
    return { text: r.choices[0].message.content, role: r.choices[0].message.role, object: r.object, usage: r.usage,
             reason: r.choices[0].finish_reason };
  },
  async chatStream() {
    return collect(await openai.chat.completions.create({ model, messages, max_completion_tokens: 7, stream: true }),
                   (c) => c.delta.content);
  },
  async chatStreamUsage() {
    return collect(await openai.chat.completions.create({ model, messages, max_tokens: 2, stream: true,
                                                          stream_options: { include_usage: true } }), (c) => c.delta.content);
  },
  async chatHelper() {
    const runner = openai.beta.chat.completions.stream({ model, messages, max_tokens: 6 });
    const parts = [];
    runner.on("content", (delta) => parts.push(delta));
    const done = await runner.finalChatCompletion();
    return { text: done.choices[0].message.content, parts: parts.join("") };
  },
  async chatUtf8() {
    const r = await openai.chat.completions.create({ model, max_tokens: 3,
                                                     messages: [{ role: "user", content: "größe 😀 \u2028\"\\" }] });
    return { text: r.choices[0].message.content };
  },
  async completions() {
    const r = await openai.completions.create({ model, prompt: "a b c", max_tokens: 4 });
    return { text: r.choices[0].text, object: r.object, usage: r.usage };
  },
  async completionsStream() {
    return collect(await openai.completions.create({ model, prompt: "a b c", max_tokens: 4, stream: true }), (c) => c.text);
  },
  async embeddings() {
    const input = ["some text", "more"];
    const vectors = (r) => r.data.map((d) => d.embedding);
    const asked = await openai.embeddings.create({ model, input, encoding_format: "float" });
    return { asked: vectors(asked), usual: vectors(await openai.embeddings.create({ model, input })), usage: asked.usage };
  },
  async images() {
    const r = await openai.images.generate({ model, prompt: "a cat", n: 1, size: "64x64" });
    return { url: r.data[0].url, created: r.created };
  },
  async models() {
    const ids = [];
    for await (const m of openai.models.list()) ids.push(m.id);
    return { ids };
  },
  async model() {
    const found = await openai.models.retrieve(model);
    const listed = [];
    for await (const m of openai.models.list()) if (m.id === model) listed.push(m);
    return { found, listed };
  },
  async aborted() {
    const stream = await openai.chat.completions.create({ model, messages, max_tokens: 1000, stream: true });
    let chunks = 0;
    for await (const chunk of stream) {
      chunks += chunk.choices.length;
      if (chunks === 3) stream.controller.abort();
    }
    return { chunks };
  },
  badToken: () => caught(() => client({ apiKey: "sk-not-a-token" }).chat.completions.create({ model, messages })),
  badBody: () => caught(() => openai.chat.completions.create({ model, messages, max_tokens: -1 })),
  badSize: () => caught(() => openai.images.generate({ model, prompt: "a cat", size: "huge" })),
  noModel: () => caught(() => openai.chat.completions.create({ model: "nobody's", messages })),
  noModelNow: () => caught(() => openai.models.retrieve("nobody's/model")),
  noPath: () => caught(() => openai.moderations.create({ input: "x" })),
};

scenarios[scenario]().then(
  (r) => console.log(JSON.stringify(r ?? null)),
  (e) => {
    console.error(e);
    process.exit(1);
  },
);

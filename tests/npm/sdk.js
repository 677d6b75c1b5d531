// SPDX-License-Identifier: Apache-2.0
// Runs one scenario with the unmodified npm package and prints its result as JSON.
// Usage: node sdk.js SCENARIO URL TOKEN MODEL   (from the folder where the package is installed)
"use strict";
const { createRequire } = require("module");
const { AtomaSDK } = createRequire(process.cwd() + "/")("atoma-sdk");

const [scenario, serverURL, bearerAuth, model] = process.argv.slice(2);
const sdk = new AtomaSDK({ serverURL, bearerAuth });
const messages = [{ role: "user", content: "hello from the other side" }];

const scenarios = {
  async chat() {
    const r = await sdk.confidentialChat.create({ model, messages, maxTokens: 5 });
    return { text: r.choices[0].message.content, usage: r.usage, id: r.id };
  },
  async chatStream() {
    const out = { text: "", chunks: 0, reasons: [] };
    for await (const event of await sdk.confidentialChat.createStream({ model, messages, maxTokens: 7 })) {
      const choice = event.data.choices[0];
      out.text += choice.delta.content || "";
      out.chunks++;
      if (choice.finishReason) out.reasons.push(choice.finishReason);
    }
    return out;
  },
  async embeddings() {
    const r = await sdk.confidentialEmbeddings.create({ model, input: "some text" });
    return { size: r.data[0].embedding.length, numbers: r.data[0].embedding.every(Number.isFinite), usage: r.usage };
  },
  async images() {
    const r = await sdk.confidentialImages.generate({ model, prompt: "a cat", n: 1, size: "64x64" });
    return { url: r.data[0].url };
  },
  async lock() {
    const r = await sdk.nodes.nodesCreateLock({ model });
    return { keyBytes: Buffer.from(r.publicKey, "base64").length, node: r.nodeSmallId, stack: r.stackSmallId };
  },
  async models() {
    const r = await sdk.models.modelsList();
    return { ids: r.data.map((m) => m.id) };
  },
  async health() {
    return await sdk.health.health();
  },
  async badToken() {
    const other = new AtomaSDK({ serverURL, bearerAuth: "sk-not-a-token" });
    try {
      await other.models.modelsList();
    } catch (e) {
      return { status: e.statusCode ?? e.rawResponse?.status };
    }
    return {};
  },
};

scenarios[scenario]().then(
  (r) => console.log(JSON.stringify(r ?? null)),
  (e) => {
    console.error(e);
    process.exit(1);
  },
);

// Vercel's AI SDK against the real binary: its OpenAI provider asks `responses` when nothing else is said, the
// compatible one, which opencode and Cline have within, asks for chats.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { API_KEY, BASE_URL, EARLY_URL, UNICODE, asked, assertComplete, model } from "./case.mjs";

// It warns that it knows none of these models.
globalThis.AI_SDK_LOG_WARNINGS = false;

const settings = { baseURL: `${BASE_URL}/v1`, apiKey: API_KEY };
const openai = createOpenAI(settings);
const anthropic = createAnthropic(settings);
const compatible = createOpenAICompatible({ name: "ai_proxy", includeUsage: true, ...settings });

for (const [what, path, of] of [
  ["the default", "responses", (name) => openai(name)],
  ["chat", "chat/completions", (name) => openai.chat(name)],
  ["Anthropic's", "messages", (name) => anthropic(name)],
  ["the compatible one", "chat/completions", (name) => compatible(name)],
]) {
  test(`${what} is answered, whole and streamed`, async () => {
    const [name, tag] = model("echo");
    assert.equal((await generateText({ model: of(name), prompt: UNICODE, maxRetries: 0 })).text, UNICODE);
    assert.equal((await asked(tag)).target, `/v1/${path}`);
    const [streamed, other] = model("echo");
    const pieces = [];
    for await (const piece of streamText({ model: of(streamed), prompt: UNICODE, maxRetries: 0 }).textStream)
      pieces.push(piece);
    assert.equal(pieces.join(""), UNICODE);
    assert.ok(pieces.length > 5, `${pieces.length} pieces`);
    await assertComplete(other);
  });
}

test("a stream calls a tool, and goes on with what that gave", async () => {
  const inputSchema = jsonSchema({ type: "object", properties: { city: { type: "string" } } });
  const weather = tool({ description: "The weather of a city.", inputSchema, execute: ({ city }) => `in ${city}: 好` });
  for (const of of [openai, anthropic, compatible]) {
    const stream = streamText({
      model: of(model("agent")[0]), prompt: "x", tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0 });
    assert.match(await stream.text, /in 北京: 好/);
    assert.equal((await stream.totalUsage).totalTokens, 14);
  }
});

test("an error tells its status and its words", async () => {
  const [name] = model("status-429-9");
  await assert.rejects(generateText({ model: openai(name), prompt: "x", maxRetries: 0 }), (error) => {
    assert.equal(error.statusCode, 429);
    assert.match(error.message, /the provider says 429/);
    return true;
  });
  await assert.rejects(generateText({ model: anthropic("nobody/x"), prompt: "x", maxRetries: 0 }), (error) => {
    assert.equal(error.statusCode, 404);
    assert.match(error.message, /未找到模型/);
    return true;
  });
});

test("embeddings", async () => {
  const [name, tag] = model("echo");
  const { embeddings } = await embedMany({ model: openai.embedding(name), values: ["four", "seven77"] });
  assert.deepEqual(embeddings, [[4, -0.5, 0.15625], [7, -0.5, 0.15625]]);
  assert.equal((await asked(tag)).target, "/v1/embeddings");
});

test("keep-alives are skipped", async () => {
  const early = { baseURL: `${EARLY_URL}/v1`, apiKey: API_KEY };
  for (const provider of [createOpenAI(early), createAnthropic(early)]) {
    let said = "";
    const { textStream } = streamText({ model: provider(model("late")[0]), prompt: UNICODE, maxRetries: 0 });
    for await (const piece of textStream) said += piece;
    assert.equal(said, UNICODE);
  }
});

test("a stream that is cut is an error", async () => {
  for (const provider of [openai, anthropic, compatible]) {
    const errors = [];
    const stream = streamText({
      model: provider(model("cut")[0]), prompt: "one two three four", maxRetries: 0,
      onError: ({ error }) => errors.push(error),
    });
    await stream.consumeStream();
    assert.match(inspect(errors), /scripted/);
  }
});

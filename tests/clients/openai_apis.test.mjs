// openai-node on the endpoints beside chat.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { API_KEY, BASE_URL, UNICODE, asked, assertComplete, ended, model, user } from "./case.mjs";

const api = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY, maxRetries: 0, timeout: 20_000 });

const assertAsked = async (tag, target) => {
  const request = await asked(tag);
  assert.equal(request.target, target);
  assert.equal(request.body.model.split("/").at(-1), tag);
  return request.body;
};

test("completions, whole and streamed", async () => {
  const [name, tag] = model("echo");
  const answer = await api.completions.create({ model: name, prompt: UNICODE });
  assert.equal(answer.choices[0].text, UNICODE);
  await assertAsked(tag, "/v1/completions");
  const [streamed, other] = model("echo");
  let said = "";
  const stream = await api.completions.create({ model: streamed, prompt: UNICODE, stream: true });
  for await (const chunk of stream) said += chunk.choices[0].text;
  assert.equal(said, UNICODE);
  await assertComplete(other);
});

test("embeddings, in either format and of tokens", async () => {
  for (const [input, length] of [["four", 4], [["seven77"], 7], [[1, 2, 3], 3], [[[1, 2], [3]], 2]]) {
    for (const encoding_format of [undefined, "float"]) {
      const [name, tag] = model("echo");
      const answer = await api.embeddings.create({ model: name, input, encoding_format });
      assert.deepEqual(Array.from(answer.data[0].embedding), [length, -0.5, 0.15625]);
      const body = await assertAsked(tag, "/v1/embeddings");
      assert.deepEqual(body.input, input);
      assert.equal(body.encoding_format, encoding_format ?? "base64");
    }
  }
});

test("moderations", async () => {
  const [name, tag] = model("echo");
  const { results: [result] } = await api.moderations.create({ model: name, input: "some violence" });
  assert.equal(result.flagged, true);
  assert.equal(result.category_scores["harassment/threatening"], 1e-12);
  await assertAsked(tag, "/v1/moderations");
});

test("images, whole and as events", async () => {
  const [name, tag] = model("echo");
  const answer = await api.images.generate({ model: name, prompt: "a cat" });
  const image = Buffer.from(answer.data[0].b64_json, "base64");
  assert.equal(image.subarray(1, 4).toString(), "PNG");
  assert.equal(image.length, 264);
  await assertAsked(tag, "/v1/images/generations");
  const [streamed, other] = model("echo");
  const kinds = [];
  for await (const event of await api.images.generate({ model: streamed, prompt: "a cat", stream: true }))
    kinds.push(event.type);
  assert.deepEqual(kinds, ["image_generation.partial_image", "image_generation.completed"]);
  await assertComplete(other);
});

test("speech is binary", async () => {
  const [name, tag] = model("echo");
  const answer = await api.audio.speech.create({ model: name, input: "hello", voice: "alloy" });
  const audio = Buffer.from(await answer.arrayBuffer());
  assert.equal(answer.headers.get("content-type"), "audio/mpeg");
  assert.equal(audio.length, 256 * 300);
  assert.ok(audio.every((byte, at) => byte === at % 256));
  await assertAsked(tag, "/v1/audio/speech");
  await assertComplete(tag);
});

test("a response, whole and streamed", async () => {
  const [name, tag] = model("echo");
  assert.equal((await api.responses.create({ model: name, input: UNICODE })).output_text, UNICODE);
  await assertAsked(tag, "/v1/responses");
  const [streamed, other] = model("echo");
  let said = "";
  const kinds = [];
  for await (const event of await api.responses.create({ model: streamed, input: UNICODE, stream: true })) {
    kinds.push(event.type);
    if (event.type === "response.output_text.delta") said += event.delta;
  }
  assert.equal(said, UNICODE);
  assert.equal(kinds.at(-1), "response.completed");
  await assertComplete(other);
});

test("whoever leaves at the final event has all of a response", async () => {
  const [name, tag] = model("echo");
  for await (const event of await api.responses.create({ model: name, input: "word by word", stream: true }))
    if (event.type === "response.completed") break;
  await assertComplete(tag);
});

test("the stream helper puts a response together", async () => {
  const [name, tag] = model("echo");
  const answer = await api.responses.stream({ model: name, input: user(UNICODE) }).finalResponse();
  assert.equal(answer.output[0].content[0].text, UNICODE);
  await assertComplete(tag);
});

test("a response that is cut raises", async () => {
  const [name, tag] = model("cut");
  const read = async () => {
    for await (const _ of await api.responses.create({ model: name, input: "one two three", stream: true }));
  };
  await assert.rejects(read(), (error) => {
    assert.ok(error instanceof OpenAI.APIError, `${error}`);
    assert.match(error.message, /scripted/);
    return true;
  });
  assert.match(await ended(tag), /^上游中断/);
});

test("tokens are counted, and a response is compacted", async () => {
  const [name, tag] = model("echo");
  assert.equal((await api.responses.inputTokens.count({ model: name, input: "eleven char" })).input_tokens, 11);
  await assertAsked(tag, "/v1/responses/input_tokens");
  const [compacted, other] = model("echo");
  const answer = await api.responses.compact({ model: compacted, input: "long" });
  assert.equal(answer.output[0].encrypted_content, "gAAAAA==");
  await assertAsked(other, "/v1/responses/compact");
});

test("errors keep their kinds and their words", async () => {
  const [name] = model("status-429-9");
  for (const request of [
    () => api.responses.create({ model: name, input: "x", stream: true }),
    () => api.embeddings.create({ model: name, input: "x" }),
    () => api.audio.speech.create({ model: name, input: "x", voice: "alloy" }),
  ]) {
    await assert.rejects(request(), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
      assert.equal(error.code, "provider_code_429");
      return true;
    });
  }
});

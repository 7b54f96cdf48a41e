// openai-node's forms with files. It writes their parts in the order of the caller's object, so that `model`
// may stand behind the file: then the proxy holds the form, within `max_request_size`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import OpenAI, { toFile } from "openai";

import { UNICODE, assertComplete, model, seen } from "./case.mjs";
import { both, relayed, tagged } from "./same.mjs";

const REQUEST_BYTES_MAX = Number(process.env.REQUEST_BYTES_MAX);
const AUDIO = Buffer.alloc(76_800, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
const BINARY = Buffer.concat([Buffer.from('\r\n--\r\n----\0name="model"\r\n\r\nx\r\n--'), AUDIO]);
const sixteen = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);
const file = (bytes = BINARY, name = "gute Ä 你好.mp3", type = "audio/mpeg") => toFile(bytes, name, { type });
const large = () => file(Buffer.alloc(REQUEST_BYTES_MAX + 300_000, AUDIO), "large.wav", "audio/wav");

for (const [where, form] of [
  ["before", async (name, more, of = file) => ({ model: name, ...more, file: await of() })],
  ["behind", async (name, more, of = file) => ({ file: await of(), ...more, model: name })],
]) {
  const transcribe = (more) => both(async (api, name) => api.audio.transcriptions.create(await form(name, more)));

  test(`a transcription, its model ${where} the file`, async () => {
    const [got, [request]] = await transcribe({ language: "de", prompt: UNICODE, timestamp_granularities: ["word"] });
    assert.ok(got.text.includes(` ${BINARY.length} ${sixteen(BINARY)};`), got.text);
    assert.equal(request.target, "/v1/audio/transcriptions");
    const [name, tag] = model("echo");
    await relayed.audio.transcriptions.create(await form(name));
    await assertComplete(tag);
  });

  test(`a transcription as events, its model ${where} the file`, async () => {
    const [events] = await transcribe({ stream: true });
    assert.equal(events.at(-1).type, "transcript.text.done");
    assert.equal(events.slice(0, -1).map((event) => event.delta).join(""), events.at(-1).text);
  });

  test(`a transcription as text, its model ${where} the file`, async () => {
    const [got] = await transcribe({ response_format: "text" });
    assert.match(got, new RegExp(sixteen(BINARY)));
  });

  test(`a translation, its model ${where} the file`, async () => {
    const [got] = await both(async (api, name) => api.audio.translations.create(await form(name)));
    assert.match(got.text, new RegExp(sixteen(BINARY)));
  });

  test(`images, their model ${where} the file`, async () => {
    const picture = (name) => file(BINARY, name, "image/png");
    const ordered = (name, files) => (where === "before" ? { model: name, ...files } : { ...files, model: name });
    const [edited] = await both(async (api, name) => api.images.edit(
      ordered(name, { image: await picture("cat.png"), prompt: UNICODE })));
    assert.match(edited.data[0].revised_prompt, /^image cat\.png /);
    const [two] = await both(async (api, name) => api.images.edit(ordered(name, {
      image: [await picture("cat.png"), await picture("dog.png")], mask: await picture("mask.png"), prompt: "both" })));
    for (const word of ["cat.png", "dog.png", "mask mask.png"]) assert.ok(two.data[0].revised_prompt.includes(word));
    const [events] = await both(async (api, name) => api.images.edit(
      ordered(name, { image: await picture("cat.png"), prompt: "a cat", stream: true })));
    assert.deepEqual(events.map((event) => event.type), ["image_edit.partial_image", "image_edit.completed"]);
    const [varied] = await both(async (api, name) => api.images.createVariation(
      ordered(name, { image: await picture("cat.png"), n: 1 })));
    assert.ok(varied.data[0].revised_prompt.includes(sixteen(BINARY)));
  });
}

test("a file that is read from the disk", async () => {
  const path = join(tmpdir(), `ai_proxy-${process.pid}.wav`);
  await writeFile(path, AUDIO);
  const [got] = await both((api, name) => api.audio.transcriptions.create(
    { file: createReadStream(path), model: name }));
  assert.ok(got.text.includes(sixteen(AUDIO)));
});

test("a large one goes through with its model before the file", async () => {
  const [got] = await both(async (api, name) => api.audio.transcriptions.create({ model: name, file: await large() }));
  assert.ok(got.text.includes(` ${REQUEST_BYTES_MAX + 300_000} `));
});

test("a large one with its model behind the file is refused, and told how", async () => {
  const [name, tag] = model("echo");
  const refused = tagged(relayed, tag).audio.transcriptions.create({ file: await large(), model: name });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof OpenAI.APIError, `${error}`);
    assert.equal(error.status, 413);
    assert.match(error.message, /model/);
    assert.match(error.message, /\?model=/);
    return true;
  });
  assert.deepEqual((await seen(tag)).requests, []);
});

test("a large one whose route is named beside the form goes through", async () => {
  for (const options of [(name) => ({ query: { model: name } }),
                         (name) => ({ headers: { "x-ai-proxy-model": name } })]) {
    const [name, tag] = model("echo");
    const answer = await tagged(relayed, tag).audio.transcriptions.create(
      { file: await large(), model: name }, options(name));
    assert.ok(answer.text.includes(` ${REQUEST_BYTES_MAX + 300_000} `));
    const [request] = (await seen(tag)).requests;
    assert.equal(request.target, "/v1/audio/transcriptions");
    assert.equal(request.headers["x-ai-proxy-model"], undefined);
    const end = Buffer.from(request.bytes, "base64").subarray(-400).toString("latin1");
    assert.ok(end.includes(`echo/${tag}`), end);
    assert.ok(!end.includes(name), end);
  }
});

test("errors keep their kinds and their words", async () => {
  const [name] = model("status-429-9");
  await assert.rejects(async () => relayed.audio.transcriptions.create({ file: await file(), model: name }),
    (error) => error instanceof OpenAI.RateLimitError && error.code === "provider_code_429");
  await assert.rejects(async () => relayed.images.edit({ image: await file(), model: "nobody/x", prompt: "x" }),
    (error) => error instanceof OpenAI.NotFoundError && /未找到模型 nobody\/x/.test(error.message));
});

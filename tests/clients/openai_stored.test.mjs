// openai-node on responses that the provider keeps, and below `/p/scripted`.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { toFile } from "openai";

import { BASE_URL, OTHER_KEY, UNICODE, model, seen, user } from "./case.mjs";
import { both, bothPass, passed, relayed, tagged } from "./same.mjs";

const first = async (more) => {
  const [name, tag] = model("echo");
  const { id } = await relayed.responses.create({ model: name, input: "first", ...more });
  assert.equal(id, `resp_${tag}`);
  return { id, name, tag };
};

test("a model is retrieved", async () => {
  const { data } = await relayed.models.list();
  for (const { id } of data) assert.equal((await relayed.models.retrieve(id)).id, id);
  await assert.rejects(relayed.models.retrieve("hidden/echo"), OpenAI.NotFoundError);
});

test("a response is retrieved, whole and as events", async () => {
  const { id } = await first();
  const include = ["reasoning.encrypted_content"];
  const [got, [request]] = await both((api) => api.responses.retrieve(id, { include }));
  assert.equal(got.output_text, `what ${id} has said`);
  assert.match(request.target, /\?include/);
  const [events] = await both((api) => api.responses.retrieve(id, { stream: true, starting_after: 3 }));
  assert.equal(events[0].sequence_number, 4);
  assert.equal(events.at(-1).type, "response.completed");
});

test("a response is cancelled, its items are listed, it is deleted", async () => {
  const { id } = await first({ background: true });
  assert.equal((await both((api) => api.responses.cancel(id)))[0].status, "cancelled");
  const [items, requests] = await both((api) => api.responses.inputItems.list(id, { limit: 2 }));
  assert.deepEqual(items.map((item) => item.id), ["msg_0", "msg_1", "msg_2"]);
  assert.equal(requests.length, 2);
  await both((api) => api.responses.delete(id));
});

test("a response whose events were seen is found as well", async () => {
  const [name, tag] = model("echo");
  for await (const _ of await relayed.responses.create({ model: name, input: "x", stream: true }));
  assert.equal((await relayed.responses.retrieve(`resp_${tag}`)).id, `resp_${tag}`);
});

test("a response goes on without a model, with one and in a conversation", async () => {
  const { id, name, tag } = await first({ conversation: "conv_js" });
  for (const [more, expected] of [
    [{ previous_response_id: id }, { previous_response_id: id }],
    [{ previous_response_id: id, model: name }, { previous_response_id: id, model: `echo/${tag}` }],
    [{ conversation: "conv_js" }, { conversation: "conv_js" }],
  ]) {
    const [, other] = model("echo");
    const answer = await tagged(relayed, other).responses.create({ input: "second", ...more });
    assert.equal(answer.output_text, "second");
    const [request] = (await seen(other)).requests;
    assert.deepEqual(JSON.parse(request.body), { input: "second", ...expected });
  }
  const elsewhere = relayed.responses.create({ input: "x", model: "listed/echo/one", previous_response_id: id });
  await assert.rejects(elsewhere, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
    assert.match(error.message, /scripted/);
    assert.match(error.message, /listed/);
    return true;
  });
});

test("an unknown id is explained, and so is another's", async () => {
  const { id } = await first();
  for (const ask of [() => relayed.responses.retrieve("resp_unknown"), () => relayed.responses.cancel("resp_unknown"),
                     () => relayed.withOptions({ apiKey: OTHER_KEY }).responses.retrieve(id)])
    await assert.rejects(ask(), (error) => error instanceof OpenAI.NotFoundError && /model/.test(error.message));
});

test("passed through: files", async () => {
  const upload = async (api) => api.files.create({ file: await toFile("{}\n", "lines.jsonl"), purpose: "batch" });
  const [got] = await bothPass(upload);
  assert.equal(got.bytes, 3);
  const [listed, requests] = await bothPass((api) => api.files.list({ limit: 2 }));
  assert.equal(listed.length, 3);
  assert.equal(requests.length, 2);
  assert.equal((await bothPass((api) => api.files.content("file-7")))[0].length, 256 * 300);
  assert.equal((await bothPass((api) => api.files.delete("file-7")))[0].deleted, true);
});

test("passed through: a file that is larger than other requests may be", async () => {
  const bytes = Buffer.alloc(Number(process.env.REQUEST_BYTES_MAX) + 300_000, "line\n");
  const [got] = await bothPass(async (api) => api.files.create({ file: await toFile(bytes, "l"), purpose: "batch" }));
  assert.equal(got.bytes, bytes.length);
});

test("passed through: batches and a vector store", async () => {
  const [got] = await bothPass((api) => api.batches.create(
    { input_file_id: "file-1", endpoint: "/v1/responses", completion_window: "24h" }));
  assert.equal(got.status, "validating");
  assert.equal((await bothPass((api) => api.batches.list()))[0].length, 3);
  assert.equal((await bothPass((api) => api.vectorStores.create({ name: "docs" })))[0].name, "docs");
});

test("passed through: chat by the provider's own name", async () => {
  const [got] = await bothPass((api, name) => api.chat.completions.create({ model: name, messages: user(UNICODE) }));
  assert.equal(got.choices[0].message.content, UNICODE);
  const [chunks] = await bothPass((api, name) => api.chat.completions.create(
    { model: name, messages: user(UNICODE), stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), UNICODE);
});

test("passed through: errors", async () => {
  await assert.rejects(passed.chat.completions.create({ model: "status-429-9/x", messages: user("x") }),
    (error) => error instanceof OpenAI.RateLimitError && error.code === "provider_code_429");
  await assert.rejects(passed.withOptions({ apiKey: "sk-wrong" }).files.list(), OpenAI.AuthenticationError);
  for (const provider of ["hidden", "nobody"]) {
    const closed = passed.withOptions({ baseURL: `${BASE_URL}/p/${provider}` });
    await assert.rejects(closed.files.list(), OpenAI.NotFoundError);
  }
});

// openai-node against the real binary.

import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "node:test";

import OpenAI from "openai";

import { API_KEY, BASE_URL, UNICODE, model, seen, user } from "./case.mjs";

// The promise: whoever hangs up drops the provider's connection within a second.
const CLOSED_WITHIN_MS = 1000;

const client = (options = {}) =>
  new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY, maxRetries: 0, timeout: 20_000, ...options });
const text = async (stream) => {
  let said = "";
  for await (const chunk of stream) said += chunk.choices[0]?.delta?.content ?? "";
  return said;
};
const assertClosed = async (tag, since) => {
  assert.equal((await seen(tag, "/closed")).closed, true);
  const took = performance.now() - since;
  assert.ok(took < CLOSED_WITHIN_MS, `closed after ${took} ms`);
};
const arrived = async (tag) => {
  while ((await seen(tag)).requests.length === 0) await pause(20);
};

test("models are listed with their provider", async () => {
  const ids = (await client().models.list()).data.map((entry) => entry.id);
  assert.ok(ids.includes("scripted/echo"));
  assert.ok(ids.includes("listed/echo/one"));
});

test("a chat is answered, unicode intact", async () => {
  const [name, tag] = model("echo");
  const answer = await client().chat.completions.create({ model: name, messages: user(UNICODE) });
  assert.equal(answer.choices[0].message.content, UNICODE);
  assert.equal(answer._request_id, "req_upstream_42");
  const { requests } = await seen(tag);
  assert.equal(requests.length, 1);
  assert.equal(JSON.parse(requests[0].body).model, `echo/${tag}`);
  assert.equal(requests[0].headers["x-stainless-lang"], "js");
});

test("headers of the answer can be read", async () => {
  const [name] = model("echo");
  const { response } = await client().chat.completions
    .create({ model: name, messages: user("x") }).withResponse();
  assert.equal(response.headers.get("x-ratelimit-remaining-requests"), "499");
  assert.equal(response.headers.get("x-custom"), "kept as it is");
});

test("a stream ends with its usage", async () => {
  const [name] = model("echo");
  const stream = await client().chat.completions.create({
    model: name, messages: user(UNICODE), stream: true, stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""), UNICODE);
  assert.equal(chunks.at(-1).usage.total_tokens, 7);
});

test("a stream comes as it is made", async () => {
  const [name] = model("drip");
  const stream = await client().chat.completions.create({ model: name, messages: user("x"), stream: true });
  const times = [];
  for await (const _ of stream) times.push(performance.now());
  assert.equal(times.length, 5);
  assert.ok(times.at(-1) - times[0] > 600, `${times}`);
});

test("tool calls stream", async () => {
  const [name] = model("tools");
  const runner = client().chat.completions.stream({ model: name, messages: user("weather?") });
  const [call] = (await runner.finalMessage()).tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "北京" });
});

test("errors keep their kinds and their words", async () => {
  const kinds = [
    ["status-400", OpenAI.BadRequestError, 400], ["status-401", OpenAI.AuthenticationError, 401],
    ["status-403", OpenAI.PermissionDeniedError, 403], ["status-404", OpenAI.NotFoundError, 404],
    ["status-409", OpenAI.ConflictError, 409], ["status-422", OpenAI.UnprocessableEntityError, 422],
    ["status-429-9", OpenAI.RateLimitError, 429], ["status-500", OpenAI.InternalServerError, 500],
    ["status-529", OpenAI.InternalServerError, 529],
  ];
  for (const [script, kind, status] of kinds) {
    for (const stream of [false, true]) {
      const request = client().chat.completions.create({ model: model(script)[0], messages: user("x"), stream });
      await assert.rejects(request, (error) => {
        assert.ok(error instanceof kind, `${script}: ${error}`);
        assert.equal(error.status, status);
        assert.equal(error.code, `provider_code_${status}`);
        assert.equal(error.requestID, "req_upstream_42");
        if (status === 429) assert.equal(error.headers.get("retry-after"), "9");
        return true;
      });
    }
  }
});

test("our own errors are understood", async () => {
  const create = (options, name) =>
    client(options).chat.completions.create({ model: name, messages: user("x") });
  await assert.rejects(create({ apiKey: "sk-wrong" }, "scripted/echo"), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.match(error.message, /API token无效/);
    return true;
  });
  await assert.rejects(create({}, "nobody/gpt"), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.match(error.message, /未找到模型 nobody\/gpt/);
    return true;
  });
  await assert.rejects(create({}, "dead/x"), (error) => {
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.equal(error.status, 502);
    return true;
  });
});

test("a cut stream raises", async () => {
  const [name] = model("cut");
  const said = [];
  const read = async () => {
    const stream = await client().chat.completions.create({ model: name, messages: user("x"), stream: true });
    for await (const chunk of stream) said.push(chunk.choices[0].delta.content);
  };
  await assert.rejects(read(), (error) => {
    assert.ok(error instanceof OpenAI.APIError, `${error}`);
    assert.match(error.message, /scripted/);
    return true;
  });
  assert.deepEqual(said, ["0 ", "1 ", "2 "]);
});

test("a stream cut inside an event raises", async () => {
  const [name] = model("cut_inside");
  const stream = await client().chat.completions.create({ model: name, messages: user("x"), stream: true });
  await assert.rejects(text(stream));
});

test("retries wait as long as the provider asks", async () => {
  const [name, tag] = model("flaky-1-retry_after-1");
  const began = performance.now();
  const answer = await client({ maxRetries: 2 }).chat.completions
    .create({ model: name, messages: user("again") });
  assert.equal(answer.choices[0].message.content, "again");
  assert.ok(performance.now() - began >= 1000);
  assert.equal((await seen(tag)).requests.length, 2);
});

test("an abort closes the provider's stream", async () => {
  const [name, tag] = model("endless");
  const controller = new AbortController();
  const stream = await client().chat.completions.create(
    { model: name, messages: user("x"), stream: true }, { signal: controller.signal });
  let began;
  let events = 0;
  for await (const _ of stream) {
    if (++events === 3) {
      began = performance.now();
      controller.abort();
    }
  }
  await assertClosed(tag, began);
});

test("breaking off closes the provider's stream", async () => {
  const [name, tag] = model("endless");
  const stream = await client().chat.completions.create({ model: name, messages: user("x"), stream: true });
  for await (const _ of stream) break;
  await assertClosed(tag, performance.now());
});

test("an abort closes a provider that has not answered", async () => {
  const [name, tag] = model("slow");
  const controller = new AbortController();
  const request = client().chat.completions.create(
    { model: name, messages: user("x") }, { signal: controller.signal });
  const failed = assert.rejects(request, OpenAI.APIUserAbortError);
  await arrived(tag);
  const began = performance.now();
  controller.abort();
  await failed;
  await assertClosed(tag, began);
});

test("a client's time-out closes the provider", async () => {
  const [name, tag] = model("slow");
  await assert.rejects(client({ timeout: 400 }).chat.completions
    .create({ model: name, messages: user("x") }), OpenAI.APIConnectionTimeoutError);
  await assertClosed(tag, performance.now());
});

test("fifty streams at once do not mix", async () => {
  const api = client();
  const jobs = Array.from({ length: 50 }, async (_, number) => {
    const words = `stream ${number} says ${`${number} `.repeat(20)}`;
    const stream = await api.chat.completions
      .create({ model: model("echo")[0], messages: user(words), stream: true });
    assert.equal(await text(stream), words);
  });
  await Promise.all(jobs);
});

// anthropic-sdk-typescript against the real binary, with its token in either field.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { API_KEY, BASE_URL, EARLY_URL, UNICODE, asked, assertComplete, ended, model, user } from "./case.mjs";

const client = (options) => new Anthropic({ baseURL: BASE_URL, maxRetries: 0, timeout: 20_000, ...options });
const KEYED = client({ apiKey: API_KEY });
const BEARER = client({ authToken: API_KEY });
const TOOLS = [{ name: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }];

const create = (api, name, more = {}) =>
  api.messages.create({ model: name, max_tokens: 99, messages: user(UNICODE), ...more });
// An error of ours: its class, its status, and the shape that the SDK knows.
const ours = (kind, status, type, words) => (error) => {
  assert.ok(error instanceof kind, `${error}`);
  assert.equal(error.status, status);
  assert.equal(error.error.type, "error");
  assert.equal(error.error.error.type, type);
  assert.match(error.error.error.message, words);
  assert.ok(error.error.request_id);
  return true;
};

test("a message is answered", async () => {
  for (const api of [KEYED, BEARER]) {
    const [name, tag] = model("echo");
    const answer = await create(api, name);
    assert.equal(answer.content[0].text, UNICODE);
    assert.equal(answer._request_id, "req_anthropic_42");
    const request = await asked(tag);
    assert.equal(request.target, "/v1/messages");
    assert.equal(request.body.model, `echo/${tag}`);
    assert.match(request.headers["anthropic-version"], /^\d{4}-\d\d-\d\d$/);
    assert.equal(request.headers["x-api-key"], undefined);
  }
});

test("a stream with tools", async () => {
  for (const api of [KEYED, BEARER]) {
    const [name, tag] = model("echo");
    const stream = api.messages.stream({ model: name, max_tokens: 99, messages: user(UNICODE), tools: TOOLS });
    const answer = await stream.finalMessage();
    assert.equal(answer.content[0].text, UNICODE);
    assert.deepEqual(answer.content[1].input, { city: "北京" });
    assert.equal(answer.stop_reason, "tool_use");
    await assertComplete(tag);
  }
});

test("whoever leaves at the final event has all", async () => {
  const [name, tag] = model("echo");
  for await (const event of await create(KEYED, name, { stream: true })) if (event.type === "message_stop") break;
  await assertComplete(tag);
});

test("tokens are counted", async () => {
  for (const api of [KEYED, BEARER]) {
    const [name, tag] = model("echo");
    assert.equal((await api.messages.countTokens({ model: name, messages: user("x") })).input_tokens, 1);
    assert.equal((await asked(tag)).target, "/v1/messages/count_tokens");
  }
});

test("the provider's errors are its own", async () => {
  for (const [status, kind] of [
    [400, Anthropic.BadRequestError], [401, Anthropic.AuthenticationError], [404, Anthropic.NotFoundError],
    [429, Anthropic.RateLimitError], [529, Anthropic.InternalServerError],
  ]) {
    for (const stream of [false, true]) {
      await assert.rejects(create(KEYED, model(`status-${status}-9`)[0], { stream }), (error) => {
        assert.ok(error instanceof kind, `${error}`);
        assert.equal(error.status, status);
        assert.equal(error.error.error.message, `the provider says ${status}`);
        assert.equal(error.requestID, "req_anthropic_42");
        assert.equal(error.headers.get("retry-after"), "9");
        return true;
      });
    }
  }
});

test("our own errors are understood", async () => {
  const [name] = model("echo");
  const wrong = ours(Anthropic.AuthenticationError, 401, "authentication_error", /API token无效/);
  await assert.rejects(create(client({ apiKey: "sk-wrong" }), name), wrong);
  await assert.rejects(create(client({ authToken: "sk-wrong" }), name), wrong);
  await assert.rejects(create(KEYED, "nobody/claude"),
    ours(Anthropic.NotFoundError, 404, "not_found_error", /未找到模型 nobody\/claude/));
  await assert.rejects(create(KEYED, undefined),
    ours(Anthropic.BadRequestError, 400, "invalid_request_error", /model/));
  await assert.rejects(create(KEYED, "dead/x"), ours(Anthropic.InternalServerError, 502, "api_error", /dead/));
});

test("a stream that is cut raises", async () => {
  const [name, tag] = model("cut");
  const kinds = [];
  const read = async () => {
    for await (const event of await create(KEYED, name, { stream: true })) kinds.push(event.type);
  };
  await assert.rejects(read(), (error) => {
    assert.ok(error instanceof Anthropic.APIError, `${error}`);
    assert.match(error.message, /scripted/);
    return true;
  });
  assert.equal(kinds[0], "message_start");
  assert.ok(!kinds.includes("message_stop"));
  assert.match(await ended(tag), /^上游中断/);
});

test("pings before and within a stream are skipped, and a late refusal is an error", async () => {
  const patient = client({ apiKey: API_KEY, baseURL: EARLY_URL });
  const [name] = model("late");
  const stream = patient.messages.stream({ model: name, max_tokens: 99, messages: user(UNICODE), tools: TOOLS });
  assert.equal((await stream.finalMessage()).content[0].text, UNICODE);
  const read = async () => {
    for await (const _ of await create(patient, model("late_status-429")[0], { stream: true }));
  };
  await assert.rejects(read(), (error) => {
    assert.ok(error instanceof Anthropic.APIError, `${error}`);
    assert.match(error.message, /rate_limit_error/);
    return true;
  });
});

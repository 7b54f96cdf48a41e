// openai-node and anthropic-sdk-typescript where a route has several keys and targets.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { API_KEY, ROUTED_URL, UNICODE, model, seen, user } from "./case.mjs";

const client = (options = {}) =>
  new OpenAI({ baseURL: `${ROUTED_URL}/v1`, apiKey: API_KEY, maxRetries: 0, timeout: 20_000, ...options });
const claude = new Anthropic({ baseURL: ROUTED_URL, apiKey: API_KEY, maxRetries: 0, timeout: 20_000 });

// A name that an alias with a star takes; `script` is told to the provider behind it.
const alias = (name, script = "") => {
  const [, tag] = model("");
  return [script ? `${name}/${script}/${tag}` : `${name}/${tag}`, tag];
};
const create = (api, name, more = {}) => api.chat.completions.create({ model: name, messages: user(UNICODE), ...more });
const text = async (stream) => {
  let said = "";
  for await (const chunk of stream) said += chunk.choices[0]?.delta?.content ?? "";
  return said;
};
// How many calls reached the provider for each try of the SDK.
const attempts = async (tag) => {
  const counts = {};
  for (const { headers } of (await seen(tag)).requests) {
    assert.equal(headers["x-ai-proxy-retries"], undefined);
    const key = headers["x-stainless-retry-count"];
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
};
const assertRests = (headers, stated) => {
  const seconds = Number(headers.get("retry-after"));
  assert.ok(seconds >= 1 && seconds <= stated, `${seconds}`);
  assert.equal(headers.get("x-ai-proxy-upstream-retry-after"), `${stated}`);
};

test("an alias is a model of the list", async () => {
  assert.equal((await client().models.list()).data[0].id, "fast");
  const entry = await client().models.retrieve("fast");
  assert.deepEqual([entry.id, entry.owned_by], ["fast", "ai_proxy"]);
});

test("another target answers, whole and streamed", async () => {
  for (const stream of [false, true]) {
    const [name, tag] = alias("limited");
    const { data, response } = await create(client(), name, { stream }).withResponse();
    assert.equal(stream ? await text(data) : data.choices[0].message.content, UNICODE);
    assert.equal(response.headers.get("x-ai-proxy-model"), `other/echo/${tag}`);
    assert.match(response.headers.get("x-ai-proxy-attempts"), /^(keys#\d=429, )+other=200$/);
  }
});

test("all at their limit is a rate limit error with the soonest time", async () => {
  for (const stream of [false, true]) {
    await assert.rejects(create(client(), alias("two", "status-429-7")[0], { stream }), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
      assert.equal(error.code, "provider_code_429");
      assert.equal(error.requestID, "req_upstream_42");
      assertRests(error.headers, 7);
      assert.match(error.headers.get("x-ai-proxy-attempts"), /^(keys#\d=429, ){3}other=429$/);
      return true;
    });
  }
});

test("other errors are the provider's own", async () => {
  for (const [status, kind, calls] of [[500, OpenAI.InternalServerError, 2], [400, OpenAI.BadRequestError, 1]]) {
    const [name, tag] = alias("two", `status-${status}`);
    await assert.rejects(create(client(), name), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.code, `provider_code_${status}`);
      return true;
    });
    assert.equal((await seen(tag)).requests.length, calls);
  }
});

test("nobody there is an error that names all", async () => {
  await assert.rejects(create(client(), "nobody/x"), (error) => {
    assert.ok(error instanceof OpenAI.InternalServerError, `${error}`);
    assert.equal(error.status, 502);
    assert.match(error.message, /dead/);
    assert.match(error.message, /gone/);
    return true;
  });
});

test("its retries and the proxy's multiply to their product, and a header turns the proxy's off", async () => {
  for (const [options, expected] of [
    [{ maxRetries: 2 }, { 0: 3, 1: 3, 2: 3 }],
    [{ maxRetries: 2, defaultHeaders: { "x-ai-proxy-retries": "0" } }, { 0: 1, 1: 1, 2: 1 }],
    [{}, { 0: 3 }],
  ]) {
    const [name, tag] = alias("repeated", "busy-503");
    await assert.rejects(create(client(options), name), OpenAI.InternalServerError);
    assert.deepEqual(await attempts(tag), expected);
  }
});

test("Anthropic's SDK asks for an alias with a star, and falls back", async () => {
  const [, tag] = model("");
  const ask = (name) => claude.messages.create({ model: name, max_tokens: 99, messages: user(UNICODE) });
  const { data, response } = await ask(`claude-${tag}`).withResponse();
  assert.equal(data.content[0].text, UNICODE);
  assert.equal(response.headers.get("x-ai-proxy-model"), `keys/echo/claude-${tag}`);
  assert.equal((await ask(alias("limited")[0])).content[0].text, UNICODE);
  await assert.rejects(ask(alias("two", "status-429-7")[0]), (error) => {
    assert.ok(error instanceof Anthropic.RateLimitError, `${error}`);
    assert.equal(error.error.error.message, "the provider says 429");
    assertRests(error.headers, 7);
    return true;
  });
});

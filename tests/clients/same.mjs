// Whether openai-node gets through the proxy what it gets from the provider itself, and the provider the same bytes.

import assert from "node:assert/strict";

import OpenAI from "openai";

import { API_KEY, BASE_URL, PROVIDER_KEY, UPSTREAM_URL, model, seen } from "./case.mjs";

const client = (baseURL, apiKey) => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
export const direct = client(`${UPSTREAM_URL}/v1`, PROVIDER_KEY);
export const relayed = client(`${BASE_URL}/v1`, API_KEY);
export const passed = client(`${BASE_URL}/p/scripted`, API_KEY);

// These speak of the connection or of a page, or the proxy has its own.
const OWN_FIELDS =
  /^(host|connection|keep-alive|transfer-encoding|content-length|accept-encoding|x-request-id|sec-.*)$/;

// An answer of the SDK as plain data: an object, a list in pages, events, bytes, text.
const dumped = async (answer) => {
  if (answer instanceof Response) return Buffer.from(await answer.arrayBuffer());
  if (answer?.[Symbol.asyncIterator]) {
    const all = [];
    for await (const one of answer) all.push(one);
    return all;
  }
  return answer === undefined ? answer : structuredClone(answer);
};

// What must be the same of a request. The boundary of a form is random and gets another name.
const plain = ({ method, target, headers, bytes }) => {
  let body = Buffer.from(bytes, "base64");
  if (headers["content-length"]) assert.equal(Number(headers["content-length"]), body.length);
  const fields = Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_FIELDS.test(name)));
  const boundary = /boundary="?([^";]+)/.exec(fields["content-type"])?.[1];
  if (boundary) {
    fields["content-type"] = fields["content-type"].replace(boundary, "BOUNDARY");
    body = Buffer.from(body.toString("latin1").replaceAll(boundary, "BOUNDARY"), "latin1");
  }
  return { method, target, fields, body, chunked: "transfer-encoding" in headers };
};

export const tagged = (api, tag) => api.withOptions({ defaultHeaders: { "x-tag": tag } });

// Asks the provider and then the proxy by `ask(client, model)`; gives the answer and the requests.
export const both = async (ask, { api = relayed, prefix = "scripted/" } = {}) => {
  const [name, tag] = model("echo");
  const bare = name.slice("scripted/".length);
  const expected = await dumped(await ask(tagged(direct, tag), bare));
  const straight = (await seen(tag)).requests.map(plain);
  assert.ok(straight.length > 0, "the provider was not asked");
  const got = await dumped(await ask(tagged(api, tag), prefix + bare));
  const through = (await seen(tag)).requests.slice(straight.length).map(plain);
  assert.deepEqual(through, straight);
  assert.deepEqual(got, expected);
  return [got, through];
};

export const bothPass = (ask) => both(ask, { api: passed, prefix: "" });

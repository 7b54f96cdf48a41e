// What the tests in JavaScript share; run.py has put into the environment where things are.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

export const { API_KEY, BASE_URL, EARLY_URL, LOG_FILE, OTHER_KEY, PROVIDER_KEY, ROUTED_URL, UPSTREAM_URL } = process.env;
export const UNICODE = "你好，世界 🌍👩‍👩‍👧‍👦 naïve \u2028 \\ \"quoted\" 𝒜";

// Each file of tests is a process of its own.
const FILE = basename(process.argv[1]).replace(/\W.*/, "");
let numbers = 0;

// A model id with a tag of its own, and the tag.
export const model = (script) => {
  const tag = `js_${FILE}_${numbers++}`;
  return [`scripted/${script}/${tag}`, tag];
};
export const user = (content) => [{ role: "user", content }];
export const seen = async (tag, path = "") => (await fetch(`${UPSTREAM_URL}/seen/${tag}${path}`)).json();

// The one request under this tag. No token of the client's came with it.
export const asked = async (tag) => {
  const { requests } = await seen(tag);
  assert.equal(requests.length, 1);
  assert.ok(!JSON.stringify(requests[0]).includes(API_KEY), "the client's token went upstream");
  return { ...requests[0], body: JSON.parse(requests[0].body) };
};

// What the proxy's log says of the one request under this tag.
export const ended = async (tag) => {
  const pattern = new RegExp(`模型: \\S+/${tag} .* 结束: (.*) 耗时: `);
  for (;;) {
    const found = (await readFile(LOG_FILE, "utf8")).match(pattern);
    if (found) return found[1];
    await pause(20);
  }
};
export const assertComplete = async (tag) => assert.equal(await ended(tag), "完成 (complete)");

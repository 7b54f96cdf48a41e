// openai-node on the rows that take JSON: the same bytes for the provider and the same answer as without the proxy.

import { test } from "node:test";

import { UNICODE, user } from "./case.mjs";
import { both } from "./same.mjs";

for (const [what, ask] of Object.entries({
  "chat": (api, more) => api.chat.completions.create({ messages: user(UNICODE), seed: 2 ** 53, ...more }),
  "completions": (api, more) => api.completions.create({ prompt: UNICODE, ...more }),
  "responses": (api, more) => api.responses.create(
    { input: user(UNICODE), metadata: { model: "scripted/x" }, ...more }),
  "images": (api, more) => api.images.generate({ prompt: UNICODE, ...more }),
})) {
  test(`${what}, whole and streamed`, async () => {
    await both((api, model) => ask(api, { model }));
    await both((api, model) => ask(api, { stream: true, model }));
  });
}

for (const [what, ask] of Object.entries({
  "embeddings": (api, model) => api.embeddings.create({ model, input: ["four", UNICODE] }),
  "embeddings of tokens": (api, model) => api.embeddings.create(
    { model, input: [[1, 2], [3]], encoding_format: "float" }),
  "moderations": (api, model) => api.moderations.create({ model, input: UNICODE }),
  "speech": (api, model) => api.audio.speech.create({ model, input: UNICODE, voice: "alloy" }),
  "tokens of a response": (api, model) => api.responses.inputTokens.count({ model, input: UNICODE }),
  "a compacted response": (api, model) => api.responses.compact({ model, input: UNICODE }),
})) {
  test(what, () => both(ask));
}


// The box to try a model, and what a client needs.

/** Cuts a text/event-stream, in pieces of any size, into the data of its events. */
class Events {
  rest = "";
  data = [];

  feed(text) {
    // A return at the very end may be the first half of a CRLF.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line.startsWith("data:")) this.data.push(line.slice(line[5] === " " ? 6 : 5));
      else if (!line && this.data.length) events.push(this.data.splice(0).join("\n"));
    }
    return events;
  }
}

/** What is told in the language that is chosen then. */
class Failure extends Error {
  constructor(tell) {
    super();
    this.tell = tell;
  }
}

const answer = $("answer");

function write(kind, text) {
  if (!text || typeof text !== "string") return;
  const atEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 40;
  if (answer.lastChild?.className !== kind) answer.append(make("span", kind, text));
  else answer.lastChild.firstChild.appendData(text);
  if (atEnd) answer.scrollTop = answer.scrollHeight;
}

let told = () => "";

function report() {
  put($("progress"), told());
}

function progress(tell, failed) {
  $("progress").className = failed ? "failed" : "soft";
  told = tell;
  report();
}

/** What went wrong in an answer or event, in the words of whoever said so. */
function complaint(text, status) {
  let said = text.slice(0, 300);
  let ours = false;
  try {
    const { error } = JSON.parse(text);
    said = error.message || String(error);
    ours = error.type === "http_error";
  } catch {
    // Whatever it is, it is shown as it is.
  }
  return new Failure(() => (status ? `${status}: ` : "") + (ours ? inOne(said) : said));
}

function show(message) {
  write("thought", message?.reasoning_content || message?.reasoning);
  write("said", message?.content);
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Failure(() => say("Not an answer: {0}|无法理解的回答：{0}", data.trim().slice(0, 100)));
  }
}

/** Streams the answer into the page; fails unless it came to its proper end. */
async function stream(response, started) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new Events();
  const seen = {};
  for (;;) {
    // A connection that breaks and one that merely ends are the same here: [DONE] is missing.
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new Failure(() => say("Cut off before its end.|中断：回答没有完整结束"));
    for (const data of events.feed(decoder.decode(value, { stream: true }))) {
      if (data === "[DONE]") return seen;
      const event = parse(data);
      if (event.error) throw complaint(data);
      show(event.choices?.[0]?.delta);
      seen.usage = event.usage || seen.usage;
      if (!seen.first && answer.firstChild) {
        seen.first = performance.now() - started;
        progress(() => say("Streaming…|正在接收…"));
      }
    }
  }
}

async function ask(signal, started) {
  const headers = { "content-type": "application/json" };
  const token = $("token").value.trim();
  if (token) headers.authorization = `Bearer ${token}`;
  const messages = [{ role: "user", content: $("prompt").value }];
  const request = { model: $("model").value.trim(), messages, stream: true };
  const send = more => fetch(root + "v1/chat/completions",
    { method: "POST", headers, body: JSON.stringify({ ...request, ...more }), signal })
    .catch(error => {
      throw new Failure(() => say("No connection: {0}|连接失败：{0}", error.message));
    });
  let response = await send({ stream_options: { include_usage: true } });
  // Some providers do not know this.
  if (response.status === 400 || response.status === 422) response = await send();
  if (!response.ok) throw complaint(await response.text(), response.status);
  if (/event-stream/i.test(response.headers.get("content-type"))) return stream(response, started);
  const { choices, usage } = parse(await response.text());
  show(choices?.[0]?.message);
  return { usage };
}

let running = null;

function busy(yes) {
  const [from, to] = yes ? [$("send"), $("stop")] : [$("stop"), $("send")];
  const focused = document.activeElement === from;
  to.hidden = false;
  from.hidden = true;
  if (focused) to.focus();
  answer.ariaBusy = yes;
}

$("try").onsubmit = async event => {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  answer.replaceChildren();
  answer.hidden = false;
  busy(true);
  progress(() => say("Waiting for the first word…|等待首个字…"));
  const started = performance.now();
  const seconds = time => (time / 1000).toFixed(2);
  try {
    const { first, usage } = await ask(running.signal, started);
    const whole = performance.now() - started;
    progress(() => say("Done in {1} s, first word after {0} s|完成：首字 {0} 秒，共 {1} 秒", seconds(first ?? whole), seconds(whole))
      + (usage ? ` · ${say("{0} tokens in, {1} out|输入 {0}、输出 {1} 个 token", usage.prompt_tokens, usage.completion_tokens)}` : ""));
  } catch (error) {
    const whole = seconds(performance.now() - started);
    if (running.signal.aborted) progress(() => say("Stopped after {0} s|已停止，{0} 秒", whole));
    else {
      progress(error.tell || (() => error.message), true);
      running.abort();
    }
  }
  running = null;
  busy(false);
};

$("stop").onclick = () => running?.abort();
// Else a page that is kept for the back button keeps its stream as well.
addEventListener("pagehide", $("stop").onclick);
$("prompt").onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("try").requestSubmit();
};

put($("base"), root + "v1");
put($("example"), [
  '"providers": [{',
  '"provider": "openai",',
  '"baseurl": "https://api.openai.com/v1",',
  '"token": "${OPENAI_API_KEY}"'].join("\n  ") + `\n}]\n\ncurl -X POST ${root}v1/reload`);

function showCommand() {
  const model = $("model").value.trim() || "provider/model";
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] });
  put($("curl"), [
    `curl ${root}v1/chat/completions`,
    `-H 'Authorization: Bearer ${known?.demo ? DEMO_TOKEN : say("YOUR_TOKEN|您的token")}'`,
    "-H 'Content-Type: application/json'",
    `-d '${body.replaceAll("'", "'\\''")}'`].join(" \\\n  "));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only pages of this machine and of https may; a selection works everywhere.
    const area = make("textarea", "");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.onclick = async () => {
    await copy($(button.dataset.copy).textContent);
    button.focus();
    put(button, say("Copied|已复制"));
    setTimeout(() => put(button, say("Copy|复制")), 2000);
  };
}

document.addEventListener("visibilitychange", poll);
poll();

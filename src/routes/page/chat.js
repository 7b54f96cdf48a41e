
// The box to try a model.

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

const answer = $("answer");

function write(kind, text) {
  if (!text || typeof text !== "string") return;
  const atEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 40;
  if (answer.lastChild?.className !== kind) answer.append(make("span", kind, text));
  else answer.lastChild.firstChild.appendData(text);
  if (atEnd) answer.scrollTop = answer.scrollHeight;
}

function progress(text, failed) {
  $("progress").className = failed ? "failed" : "soft";
  put($("progress"), text);
}

/** What went wrong in an answer or event, in the words of whoever said so. */
function complaint(text, status) {
  let said = text.slice(0, 300);
  try {
    const { error } = JSON.parse(text);
    said = error.message || String(error);
  } catch {
    // Whatever it is, it is shown as it is.
  }
  return new Error(status ? `${status}: ${said}` : said);
}

function show(message) {
  write("thought", message?.reasoning_content || message?.reasoning);
  write("said", message?.content);
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Error(say("Not an answer: {0}", data.trim().slice(0, 100)));
  }
}

/** Streams the answer into the page; fails unless it came to its proper end. */
async function stream(response, started) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new Events();
  let first;
  for (;;) {
    // A connection that breaks and one that merely ends are the same here: [DONE] is missing.
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new Error(say("Cut off before its end."));
    for (const data of events.feed(decoder.decode(value, { stream: true }))) {
      if (data === "[DONE]") return first;
      const event = parse(data);
      if (event.error) throw complaint(data);
      show(event.choices?.[0]?.delta);
      if (!first && answer.firstChild) {
        first = performance.now() - started;
        progress(say("Streaming…"));
      }
    }
  }
}

async function ask(signal, started) {
  const headers = { "content-type": "application/json" };
  const token = $("token").value.trim();
  if (token) headers.authorization = `Bearer ${token}`;
  const messages = [{ role: "user", content: $("prompt").value }];
  const body = JSON.stringify({ model: $("model").value.trim(), messages, stream: true });
  const response = await fetch(root + "v1/chat/completions", { method: "POST", headers, body, signal })
    .catch(error => {
      throw new Error(say("No connection: {0}", error.message));
    });
  if (!response.ok) throw complaint(await response.text(), response.status);
  if (/event-stream/i.test(response.headers.get("content-type"))) return stream(response, started);
  show(parse(await response.text()).choices?.[0]?.message);
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
  progress(say("Waiting for the first word…"));
  const started = performance.now();
  const seconds = time => (time / 1000).toFixed(2);
  try {
    const first = await ask(running.signal, started);
    const all = performance.now() - started;
    progress(say("Done in {1} s, first word after {0} s", seconds(first ?? all), seconds(all)));
  } catch (error) {
    if (running.signal.aborted) progress(say("Stopped after {0} s", seconds(performance.now() - started)));
    else {
      progress(error.message, true);
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

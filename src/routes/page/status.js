
// What the page knows of the proxy, and when it asks. All text goes in by textContent, never as HTML.
const POLL_MS = 3000;
const POLL_BUSY_MS = 1000;
// Without the figures a look is a check of all providers.
const POLL_OPEN_MS = 10000;
const CHECK_SECONDS = 30;
const DEMO_TOKEN = "sk-test-123456";

// A front may serve the proxy below a path of its own, with or without the last slash.
const root = location.origin + location.pathname.replace(/\/*$/, "/");

/** Strings among the parts become text, whatever they hold. */
function make(tag, kind, ...parts) {
  const element = document.createElement(tag);
  element.className = kind;
  element.append(...parts);
  return element;
}

async function get(path, wait = 20000) {
  const headers = { accept: "application/json" };
  const token = $("token").value.trim();
  // No field can hold another.
  if (/^[!-~]+$/.test(token)) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(root + path, { headers, cache: "no-store", signal: AbortSignal.timeout(wait) });
  if (!answer.ok) throw Object.assign(new Error(), { status: answer.status });
  return answer.json();
}

const number = value => value.toLocaleString(language);
// As 2026-01-31 23:59:59.
const stamp = date => date.toLocaleString("sv");

/** The time of day, and the day if it is another one. */
const clock = date => stamp(date).slice(stamp(date).startsWith(stamp(new Date()).slice(0, 10)) ? 11 : 5);

/** Seconds since 1970 by the proxy's clock, in the viewer's time. */
const at = seconds => clock(new Date(known.here + (seconds - known.time) * 1000));

function length(seconds) {
  const [unit, text] = seconds < 90 ? [1, "{0} s|{0} 秒"] : seconds < 5400 ? [60, "{0} min|{0} 分钟"]
    : seconds < 172800 ? [3600, "{0} h|{0} 小时"] : [86400, "{0} d|{0} 天"];
  return say(text, Math.round(seconds / unit));
}

function soon(milliseconds) {
  if (milliseconds === null) return "–";
  return milliseconds < 1 ? "< 1 ms" : milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(milliseconds < 10000 ? 1 : 0)} s`;
}

// The last answer, when it came, and since when there is none.
let known = null;
let gone = null;
let models = null;
// Whether the figures are open to us. A host that is no loopback name needs a token.
const isHere = /^(.*\.)?localhost$|^127\.|^\[::1\]$/.test(location.hostname);
let refused = false;

async function figures() {
  if (!refused && (isHere || $("token").value)) {
    try {
      return await get("v1/status", 6000);
    } catch (error) {
      if (error.status !== 401) throw error;
      refused = true;
    }
  }
  const [about, health] = await Promise.all([get(""), get("health")]);
  const time = Date.now() / 1000;
  const providers = Object.entries(health.providers).map(([name, up]) => ({
    name, state: up ? "up" : "down", check: { time, age: 0 }, first_byte_p50_ms: null, in_flight: "–", hour: [],
  }));
  return { ...about, time, providers };
}

let checking = null;

function check() {
  checking ||= get("health").catch(() => null).then(() => {
    checking = null;
    poll();
  });
  poll();
}

let polling = false;
let timer;
const states = () => JSON.stringify(known?.providers.map(({ name, state }) => [name, state]));

async function poll() {
  // Nobody is asked while nobody looks.
  if (polling || document.hidden) return;
  polling = true;
  clearTimeout(timer);
  let again = POLL_MS;
  try {
    const before = states();
    known = { ...await figures(), here: Date.now() };
    const back = gone;
    gone = null;
    if (!known.rates) again = POLL_OPEN_MS;
    else {
      const ages = known.providers.map(({ check }) => check?.age ?? Infinity);
      if (ages.length && Math.max(...ages) >= CHECK_SECONDS && !known.checking) check();
      if (checking || known.checking) again = POLL_BUSY_MS;
    }
    if (back || before !== states() || !models?.length) loadModels();
  } catch {
    gone ||= new Date();
  }
  render();
  polling = false;
  timer = setTimeout(poll, again);
}

function summarise() {
  const all = known?.providers || [];
  const down = all.filter(({ state }) => state === "down").length;
  const [state, text] = gone ? ["gone", say("The proxy does not answer.|代理没有响应")]
    : !known ? ["", say("Checking…|正在检查…")]
    : !all.length ? ["", say("No providers yet.|还没有配置提供商")]
    : down === all.length ? ["down", say("No provider answers.|没有可用的提供商")]
    : down ? ["down", say("{0} of {1} providers down.|{1} 个提供商中有 {0} 个不可用", down, all.length)]
    : all.some(({ state }) => state === "up") ? ["up", say("Everything is up.|一切正常")]
    : ["", say("Checking…|正在检查…")];
  document.body.className = state;
  put($("summary"), text);
  document.title = `${state === "down" || gone ? "▼ " : ""}ai_proxy`;
  const checks = all.flatMap(({ check }) => check ? [check.time] : []);
  put($("checked"), gone ? say("No answer since {0}.|自 {0} 起没有响应", clock(gone))
    : checks.length ? say("Checked at {0}|检查于 {0}", at(Math.max(...checks))) : "\u00a0");
  $("check").hidden = !!gone || !known?.rates || !all.length;
}

/** Label, value, and what stands below. */
function showTiles(tiles) {
  $("counters").replaceChildren(...tiles.map(([label, value, more]) =>
    make("div", "", make("dt", "", label), make("dd", "", value), make("dd", "soft", more || ""))));
}

function showRates({ rates, stats, uptime, started }) {
  if (rates) {
    const { chats_last_hour: chats, errors_last_hour: errors, error_share: share } = rates;
    const last = chats ? say("of the last 128 chats|最近 128 次聊天") : "";
    return showTiles([
      [say("chats, last minute|最近一分钟的聊天"), number(rates.chats_last_minute), say("{0} in the last hour|最近一小时 {0} 次", number(chats))],
      [say("went wrong, last hour|最近一小时出错"), share === null ? "–" : `${(100 * share).toFixed(share && share < .1 ? 1 : 0)} %`,
        chats ? say("{0} of {1} chats|{1} 次中 {0} 次", number(errors), number(chats)) : ""],
      [say("first byte, median|首字节，中位数"), soon(rates.first_byte_p50_ms), last],
      [say("first byte, 95 %|首字节，95%"), soon(rates.first_byte_p95_ms), last],
      [say("streams open|进行中的流"), number(rates.streams_open), say("{0} in flight|处理中 {0} 个", number(rates.in_flight))],
      [say("running|已运行"), length(uptime), say("since {0}|自 {0}", at(started))],
    ]);
  }
  const errors = Object.values(stats.errors).flatMap(Object.values).reduce((sum, count) => sum + count, 0);
  showTiles([
    [say("chats|聊天"), number(stats.chats)],
    [say("went wrong|出错"), number(errors)],
    [say("clients connected|客户端连接"), number(stats.client_connections)],
    [say("upstream connections|上游连接"), number(stats.upstream_connections.leased + stats.upstream_connections.idle)],
  ]);
}

function render() {
  summarise();
  if (!known) return;
  put($("version"), known.version);
  showRates(known);
  showProviders(known.providers);
  showProblems(known);
  put($("tokens"), known.tokens === 0
    ? say("None yet: add one to tokens in config.json and reload.|还没有 token：请在 config.json 的 tokens 中添加，然后重新加载。") : "");
  if (known.demo && !$("token").value) $("token").value = DEMO_TOKEN;
  showCommand();
}

$("check").onclick = check;
$("more-endpoints").ontoggle = () =>
  get("").then(({ endpoints }) => put($("endpoints"), endpoints.join("\n")), () => {});
$("token").onchange = () => {
  refused = false;
  poll();
};
$("language").onclick = () => {
  language = language === "zh" ? "en" : "zh";
  memory.language = language;
  translate();
  render();
  showModels();
  report();
};

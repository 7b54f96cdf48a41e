
// Providers, models and counters. All text goes in by textContent, never as HTML.
const POLL_MS = 10000;
const ROWS_MAX = 200;
const SUGGESTIONS_MAX = 20;

// A front may serve the proxy below a path of its own, with or without the last slash.
const root = location.origin + location.pathname.replace(/\/*$/, "/");
$("base").textContent = root + "v1";

/** Strings among the parts become text, whatever they hold. */
function make(tag, kind, ...parts) {
  const element = document.createElement(tag);
  element.className = kind;
  element.append(...parts);
  return element;
}

function put(element, text) {
  // Untouched when nothing changes, so that screen readers stay quiet.
  if (element.textContent !== text) element.textContent = text;
}

async function get(path) {
  const headers = { accept: "application/json" };
  const answer = await fetch(root + path, { headers, cache: "no-store", signal: AbortSignal.timeout(20000) });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

const clock = () => new Date().toTimeString().slice(0, 8);
const number = value => value.toLocaleString(language);

function bytes(count) {
  let unit = 0;
  for (; count >= 999.5 && unit < 4; unit++) count /= 1000;
  return `${unit && count < 99.95 ? count.toFixed(1) : Math.round(count)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
}

let models = [];
const providers = new Map();

function countModels() {
  const counts = new Map();
  for (const { id } of models) {
    const name = id.slice(0, id.indexOf("/"));
    counts.set(name, (counts.get(name) || 0) + 1);
  }
  for (const [name, row] of providers) {
    const count = counts.get(name) || 0;
    put(row.count, count ? say(count === 1 ? "1 model" : "{0} models", number(count)) : "");
  }
}

function buildProviders(names) {
  providers.clear();
  const items = names.map(name => {
    const row = { state: make("span", "state"), count: make("button", "link") };
    row.count.onclick = () => {
      $("filter").value = name + "/";
      showModels();
      $("filter").focus();
    };
    providers.set(name, row);
    return row.item = make("li", "", make("b", "", name), row.count, row.state);
  });
  $("providers").replaceChildren(...items);
}

/** Returns whether anything is other than before. */
function showHealth(health) {
  const names = Object.keys(health.providers);
  let changed = JSON.stringify(names) !== JSON.stringify([...providers.keys()]);
  if (changed) buildProviders(names);
  for (const [name, row] of providers) {
    const up = health.providers[name];
    if (row.up !== undefined && row.up !== up) {
      row.since = say("since {0}", clock());
      changed = true;
    }
    row.up = up;
    row.item.className = up ? "up" : "down";
    put(row.state, [say(up ? "up" : "down"), row.since].filter(Boolean).join(" "));
  }
  const down = health.total_providers - health.healthy_providers;
  if (!names.length) summarise("", say("No providers yet."));
  else if (!down) summarise("up", say("Everything is up."));
  else if (health.healthy_providers) summarise("down", say("{0} of {1} providers down.", down, names.length));
  else summarise("down", say("No provider answers."));
  return changed;
}

function summarise(state, text) {
  document.body.className = state;
  put($("summary"), text);
  document.title = `${state === "down" ? "▼ " : ""}ai_proxy`;
  put($("checked"), say("Checked at {0}", clock()));
}

function showAbout({ version, endpoints, stats }) {
  put($("version"), version);
  put($("endpoints"), endpoints.join("\n"));
  const { reused, opened } = stats.pool;
  const share = Math.round((100 * reused) / (reused + opened || 1));
  showTable($("counters"), [
    [say("requests"), number(stats.requests)],
    [say("chats"), number(stats.chats)],
    [say("bytes relayed"), bytes(stats.bytes)],
    [say("chunks"), number(stats.chunks)],
    [say("clients connected"), number(stats.client_connections)],
    [say("upstream, busy"), number(stats.upstream_connections.leased)],
    [say("upstream, idle"), number(stats.upstream_connections.idle)],
    [say("connections reused"), `${share} %`],
  ]);
  const errors = Object.entries(stats.errors).flatMap(([name, kinds]) =>
    Object.entries(kinds).map(([kind, count]) =>
      [`${name === "-" ? say("the proxy") : name} · ${kind.replaceAll("_", " ")}`, number(count)]));
  $("h-errors").hidden = !errors.length;
  showTable($("errors"), errors);
}

function showTable(list, lines) {
  list.replaceChildren(...lines.map(([name, value]) =>
    make("div", "", make("dt", "", name), make("dd", "", value))));
}

function matching(text) {
  const words = text.toLowerCase().split(/\s+/);
  return models.filter(({ lower }) => words.every(word => lower.includes(word)));
}

function showModels() {
  const found = matching($("filter").value);
  $("models").replaceChildren(...found.slice(0, ROWS_MAX).map(({ id }) => {
    const name = id.indexOf("/") + 1;
    const button = make("button", "", make("span", "soft", id.slice(0, name)), id.slice(name));
    button.value = id;
    return make("li", "", button);
  }));
  const all = number(models.length);
  put($("count"), found.length < models.length ? `${number(found.length)} / ${all}` : all);
  const more = found.length - ROWS_MAX;
  put($("more"), more > 0 ? say("{0} more: narrow the filter", number(more))
    : found.length ? "" : say("No model matches."));
  mark();
}

function mark() {
  for (const button of $("models").querySelectorAll("button")) {
    button.ariaPressed = button.value === $("model").value;
  }
}

function suggest() {
  const found = matching($("model").value).slice(0, SUGGESTIONS_MAX);
  $("suggestions").replaceChildren(...found.map(({ id }) => make("option", "", id)));
  mark();
}

async function loadModels() {
  models = (await get("v1/models")).data.map(({ id }) => ({ id, lower: id.toLowerCase() }));
  if (!$("model").value && models.length) $("model").value = models[0].id;
  showModels();
  suggest();
  countModels();
}

$("filter").oninput = showModels;
$("model").oninput = suggest;
$("models").onclick = event => {
  const button = event.target.closest("button");
  if (button) $("model").value = button.value;
  suggest();
};

let polling = false;
let timer;

// A probe asks every provider, so nobody asks for one while nobody looks.
async function poll() {
  if (polling || document.hidden) return;
  polling = true;
  clearTimeout(timer);
  try {
    showAbout(await get(""));
    if (showHealth(await get("health"))) models = [];
    if (!models.length) await loadModels();
  } catch {
    summarise("down", say("The proxy does not answer."));
  }
  polling = false;
  timer = setTimeout(poll, POLL_MS);
}

document.addEventListener("visibilitychange", poll);
poll();


// The lists: providers, problems, models.
const PROVIDERS_MAX = 12;
const ROWS_MAX = 200;
const SUGGESTIONS_MAX = 20;
const SLOW_MS = 10000;
// Names of models that do not chat.
const NO_CHAT = /embed|rerank|whisper|tts|speech|transcri|moderation|dall-e|image|bge-|ocr/i;

const STATES = { down: "down|不可用", unknown: "not checked|未检查", up: "up|正常" };
const CULPRITS = { client: "client|客户端", provider: "provider|提供商", proxy: "proxy|代理" };

const rows = new Map();
let all = false;

function makeRow(name) {
  const cell = kind => make("td", kind);
  const row = {
    state: make("span", "state"), code: make("code", "code"), count: make("button", "link"),
    keys: make("span", "soft"), reason: make("p", "reason"),
    strip: $("strip").content.firstChild.cloneNode(true),
    first: cell("number"), flight: cell("number"), checked: cell("number soft"),
  };
  row.count.onclick = () => {
    $("filter").value = name + "/";
    showModels();
    $("filter").focus();
  };
  const head = make("th", "", make("b", "", name), make("p", "line", row.state, row.code, row.count, row.keys), row.reason);
  head.scope = "row";
  row.element = make("tr", "", head, make("td", "strip", row.strip), row.first, row.flight, row.checked);
  return row;
}

/** Sixty bars: what went well above what failed. */
function draw(row, hour, most) {
  const paths = ["", "", ""];
  const bar = (kind, x, y, height) => paths[kind] += `M${x} ${y}h3v${-height}h-3z`;
  hour.forEach(([count, failed], index) => {
    const x = 4 * index;
    bar(0, x, 26, 1);
    if (!count) return;
    const height = Math.max(4, 25 * Math.sqrt(count / most));
    const bad = failed && Math.max(4, height * failed / count);
    if (height > bad) bar(1, x, 26 - bad, height - bad);
    if (bad) bar(2, x, 26, bad);
  });
  [...row.strip.children].forEach((path, kind) => path.setAttribute("d", paths[kind]));
  const [count, failed] = hour.reduce((sum, cell) => [sum[0] + cell[0], sum[1] + cell[1]], [0, 0]);
  row.strip.setAttribute("aria-label", say("{0} requests, {1} failed|{0} 次请求，{1} 次失败", number(count), number(failed)));
}

function showRow(row, provider, most) {
  const { state, since, code, status, reason, check, hour } = provider;
  row.element.className = state;
  const word = say(STATES[state]);
  put(row.state, since ? say("{0} since {1}|{0}，自 {1}", word, at(since)) : word);
  put(row.code, code ? String(code === "status" ? status : code) : "");
  // Chats that succeed say more than a list that does not.
  const told = reason?.[language] || (state === "up" && check?.reason && say("The model list fails: {0}|模型列表获取失败：{0}", check.reason[language]));
  put(row.reason, told || "");
  const keys = provider.keys_resting;
  put(row.keys, keys ? say("keys resting: {0}|暂停使用的密钥：{0}", keys) : "");
  draw(row, hour, most);
  put(row.first, soon(provider.first_byte_p50_ms));
  row.first.classList.toggle("slow", provider.first_byte_p50_ms >= SLOW_MS);
  put(row.flight, number(provider.in_flight));
  put(row.checked, check ? say("{0} ago|{0}前", length(check.age + (Date.now() - known.here) / 1000)) : "–");
  for (const [cell, label] of [[row.first, "First byte|首字节"], [row.flight, "In flight|处理中"], [row.checked, "Checked|检查"]]) {
    cell.dataset.label = say(label);
  }
}

function showProviders(providers) {
  const most = Math.max(1, ...providers.flatMap(({ hour }) => hour.map(([count]) => count)));
  const rank = ({ state }) => ["down", "unknown", "up"].indexOf(state);
  const sorted = [...providers].sort((one, other) => rank(one) - rank(other));
  const trouble = sorted.filter(({ state }) => state === "down").length;
  const shown = all ? sorted : sorted.slice(0, Math.max(PROVIDERS_MAX, trouble));
  for (const provider of shown) {
    if (!rows.has(provider.name)) rows.set(provider.name, makeRow(provider.name));
    showRow(rows.get(provider.name), provider, most);
  }
  const elements = shown.map(({ name }) => rows.get(name).element);
  const there = $("providers").children;
  // Untouched when the order stays, so that a focus does.
  if (there.length !== elements.length || elements.some((element, index) => there[index] !== element)) {
    $("providers").replaceChildren(...elements);
  }
  $("rest").hidden = sorted.length <= Math.max(PROVIDERS_MAX, trouble);
  put($("rest").firstChild, all ? say("Show fewer|收起") : say("Show all {0}|显示全部 {0} 个", number(sorted.length)));
  $("none").hidden = providers.length > 0;
  $("providers").parentNode.hidden = !providers.length;
  countModels();
}

$("rest").firstChild.onclick = () => {
  all = !all;
  render();
};

function showProblems({ problems, started }) {
  const told = [];
  for (const problem of problems || []) {
    const key = JSON.stringify([problem.client, problem.model, problem.provider, problem.status, problem.words]);
    const last = told.at(-1);
    if (last?.key === key) last.count++;
    else told.push({ key, count: 1, ...problem });
  }
  $("problems").replaceChildren(...told.map(problem => {
    const { status, model, provider, client, culprit } = problem;
    const line = make("p", "line", make("time", "soft", at(problem.time)), make("code", "code", `${status ?? "–"}`));
    for (const [kind, text] of [["name", model || provider], ["soft", client], [`tag ${culprit}`, say(CULPRITS[culprit])],
      ["soft", problem.count > 1 && `× ${problem.count}`]]) {
      if (text) line.append(make("span", kind, text));
    }
    return make("li", "", line,
      make("p", "", problem.words[language], make("small", "", say("request {0}|请求 {0}", problem.id))));
  }));
  $("calm").hidden = !!problems?.length;
  put($("calm"), problems ? say("Nothing has gone wrong since {0}.|自 {0} 起没有出错", at(started))
    : say("For reasons, rates and problems open this page at localhost, or type a token.|要看原因、速率和问题，请用 localhost 打开本页，或填入 token。"));
}

function countModels() {
  const counts = new Map();
  for (const { id } of models || []) {
    const name = id.slice(0, id.indexOf("/"));
    counts.set(name, (counts.get(name) || 0) + 1);
  }
  for (const [name, row] of rows) {
    const count = counts.get(name) || 0;
    put(row.count, count ? say(count === 1 ? "1 model|1 个模型" : "{0} models|{0} 个模型", number(count)) : "");
    row.count.hidden = !count;
  }
}

function matching(text) {
  const words = text.toLowerCase().split(/\s+/);
  return (models || []).filter(({ lower }) => words.every(word => lower.includes(word)));
}

function showModels() {
  if (!models) return;
  const found = matching($("filter").value);
  $("models").replaceChildren(...found.slice(0, ROWS_MAX).map(({ id }) => {
    const name = id.indexOf("/") + 1;
    const button = make("button", "", make("span", "soft", id.slice(0, name)), id.slice(name));
    button.value = id;
    return make("li", "", button);
  }));
  const total = number(models.length);
  put($("count"), found.length < models.length ? `${number(found.length)} / ${total}` : total);
  const more = found.length - ROWS_MAX;
  put($("more"), more > 0 ? say("{0} more: narrow the filter|还有 {0} 个，请缩小筛选范围", number(more)) : found.length ? ""
    : say(models.length ? "No model matches.|没有匹配的模型"
      : "No models yet. Where a provider has no list, name them in model_list.|还没有模型。提供商没有列表时，请写在 model_list 中。"));
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
  showCommand();
}

let loading = false;

// A list that was never fetched is waited for: the figures need not wait with it.
async function loadModels() {
  if (loading) return;
  loading = true;
  try {
    const list = (await get("v1/models")).data.map(({ id }) => ({ id, lower: id.toLowerCase() }));
    if (JSON.stringify(list) !== JSON.stringify(models)) {
      models = list;
      const chats = list.find(({ id }) => !NO_CHAT.test(id)) || list[0];
      if (!$("model").value && chats) $("model").value = chats.id;
      showModels();
      suggest();
      countModels();
    }
  } catch {
    // The next look tries again.
  }
  loading = false;
}

$("filter").oninput = showModels;
$("model").oninput = suggest;
$("models").onclick = event => {
  const button = event.target.closest("button");
  if (button) $("model").value = button.value;
  suggest();
};

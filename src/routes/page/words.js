"use strict";
// What the proxy promises to say in Chinese alone.
const ENGLISH = { "未提供API token": "no API token" };

const $ = id => document.getElementById(id);

function put(element, text) {
  // Untouched when nothing changes, so that screen readers stay quiet.
  if (element.textContent !== text) element.textContent = text;
}

// What is remembered, unless that is forbidden.
let memory = {};
try {
  memory = localStorage;
} catch {
  // It is forgotten with the page.
}

const tags = [memory.language, ...(navigator.languages || [navigator.language])];
let language = tags.map(tag => tag?.slice(0, 2).toLowerCase()).find(tag => tag === "zh" || tag === "en") || "en";

/** The part of "English|中文" that the viewer reads, with values put in. */
const say = (text, ...values) =>
  text.split("|")[language === "zh" ? 1 : 0].replace(/\{(\d)\}/g, (_, index) => values[index]);

/** A message of the proxy's, which says 中文 (English), or English alone, in the viewer's language. */
function inOne(text) {
  if (!/[\u4e00-\u9fff]/.test(text)) return text;
  if (language === "en" && Object.hasOwn(ENGLISH, text)) return ENGLISH[text];
  // The bracket that the last one closes.
  let at = text.length;
  let depth = 0;
  if (text.endsWith(")")) {
    do depth += { ")": 1, "(": -1 }[text[--at]] || 0; while (depth && at);
  }
  if (depth || at < 2 || text[at - 1] !== " ") return text;
  return language === "zh" ? text.slice(0, at - 1) : text.slice(at + 1, -1);
}

function translate() {
  document.documentElement.lang = say("en|zh-CN");
  for (const element of document.querySelectorAll("[data-t]")) {
    element.dataset.en ??= element.textContent;
    put(element, language === "zh" ? element.dataset.t : element.dataset.en);
  }
  $("filter").placeholder = say("Filter|筛选");
  put($("language"), say("中文|English"));
  $("language").lang = say("zh-CN|en");
}

translate();

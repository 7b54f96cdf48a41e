"use strict";
// The page is written in English; this is its Chinese, by the English text.
const CHINESE = {
  "Checking…": "正在检查…",
  "Everything is up.": "一切正常",
  "{0} of {1} providers down.": "{1} 个提供商中有 {0} 个不可用",
  "No provider answers.": "没有可用的提供商",
  "No providers yet.": "还没有配置提供商",
  "The proxy does not answer.": "代理没有响应",
  "Checked at {0}": "检查于 {0}",
  "Providers": "提供商",
  "up": "正常",
  "down": "不可用",
  "since {0}": "自 {0}",
  "1 model": "1 个模型",
  "{0} models": "{0} 个模型",
  "Try a model": "试用模型",
  "Model": "模型",
  "stays in this tab": "只留在本标签页",
  "Prompt": "提示词",
  "Send": "发送",
  "Stop": "停止",
  "Answer": "回答",
  "Base URL for clients": "客户端地址 (base URL)",
  "Endpoints": "接口",
  "Models": "模型",
  "Filter": "筛选",
  "{0} more: narrow the filter": "还有 {0} 个，请缩小筛选范围",
  "No model matches.": "没有匹配的模型",
  "Since the start": "启动以来",
  "requests": "请求",
  "chats": "对话",
  "bytes relayed": "转发字节",
  "chunks": "数据块",
  "clients connected": "客户端连接",
  "upstream, busy": "上游连接（使用中）",
  "upstream, idle": "上游连接（空闲）",
  "connections reused": "连接复用率",
  "Errors": "错误",
  "the proxy": "代理",
  "Waiting for the first word…": "等待首个字…",
  "Streaming…": "正在接收…",
  "Stopped after {0} s": "已停止，{0} 秒",
  "Done in {1} s, first word after {0} s": "完成：首字 {0} 秒，共 {1} 秒",
  "Cut off before its end.": "中断：回答没有完整结束",
  "Not an answer: {0}": "无法理解的回答：{0}",
  "No connection: {0}": "连接失败：{0}",
};

const known = (navigator.languages || [navigator.language]).map(tag => tag.slice(0, 2).toLowerCase());
const language = known.find(tag => tag === "zh" || tag === "en") || "en";

const say = (text, ...values) =>
  ((language === "zh" && CHINESE[text]) || text).replace(/\{(\d)\}/g, (_, index) => values[index]);

const $ = id => document.getElementById(id);

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
for (const element of document.querySelectorAll("body *")) {
  if (CHINESE[element.textContent]) element.textContent = say(element.textContent);
}
$("filter").placeholder = say("Filter");
$("answer").ariaLabel = say("Answer");

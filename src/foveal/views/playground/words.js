// The page's texts: one language at a time, chosen by hand or by the browser.

const MESSAGES = JSON.parse(document.getElementById("messages").textContent);
const LANGUAGES = Object.keys(MESSAGES);
const onLanguage = [];

const remembered = (key) => { try { return localStorage.getItem(`foveal ${key}`); } catch { return null; } };
const remember = (key, value) => { try { localStorage.setItem(`foveal ${key}`, value); } catch { /* private window */ } };

let language = LANGUAGES.includes(remembered("language"))
  ? remembered("language")
  : (navigator.languages || [navigator.language]).map((l) => (/^zh/i.test(l) ? "zh-CN" : /^en/i.test(l) ? "en" : "")).find(Boolean) || "en";

/** The text of a key, with {names} filled in. */
function t(key, values = {}) {
  const text = MESSAGES[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

function translate(root = document) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", t(node.dataset.label));
    if (node.tagName === "BUTTON") node.title = t(node.dataset.label);
  }
}

function setLanguage(chosen) {
  language = chosen;
  remember("language", chosen);
  translate();
  for (const redraw of onLanguage) redraw();
}

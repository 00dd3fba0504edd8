// The page's texts: one language at a time, chosen by hand, by whoever wrote the report, or by the browser.

const MESSAGES = JSON.parse(document.getElementById("messages").textContent);
const LANGUAGES = Object.keys(MESSAGES);
/** Functions to call after the language changed. */
const onLanguage = [];

const remembered = (key) => {
  try {
    return localStorage.getItem(`foveal ${key}`);
  } catch {
    return null;
  }
};
const remember = (key, value) => {
  try {
    localStorage.setItem(`foveal ${key}`, value);
  } catch {
    /* private window */
  }
};

let language = startLanguage();

function startLanguage() {
  const own = [document.documentElement.dataset.language, remembered("language")].find((l) => LANGUAGES.includes(l));
  const wanted = (navigator.languages ?? [navigator.language]).map((l) =>
    /^zh/i.test(l) ? "zh-CN" : /^en/i.test(l) ? "en" : "",
  );
  return own ?? wanted.find(Boolean) ?? "en";
}

/** The text of a key in the page's language, with {names} filled in. */
function t(key, values = {}) {
  const text = MESSAGES[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => visible(String(values[name] ?? "")));
}

/** Whether there is a text for a key. */
const hasText = (key) => key in MESSAGES[language];

/** Fill in all elements with data-t (text) or data-label (aria-label). */
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

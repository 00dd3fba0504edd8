// One dialog for the link and for the code.

const dialog = byId("dialog");

function showDialog(title, ...children) {
  byId("dialog-title").textContent = title;
  byId("dialog-body").replaceChildren(...children);
  translate(dialog);
  if (!dialog.open) dialog.showModal();
}

/** A text to take along, with a button that copies it. */
function copyable(text, id, tall = false) {
  const box = el(tall ? "textarea.mono" : "input.mono", { readonly: true, id, "aria-labelledby": "dialog-title", spellcheck: "false" });
  box.value = text;
  box.addEventListener("focus", () => box.select());
  const button = el("button.strong", { type: "button", on: { click: async () => {
    try { await navigator.clipboard.writeText(text); } catch { box.focus(); document.execCommand("copy"); }
    button.textContent = t("copied");
    setTimeout(() => { button.textContent = t("copy"); }, 1500);
  } } }, t("copy"));
  return el(tall ? "div.copy.tall" : "div.copy", {}, box, button);
}

function showLink() {
  writeAddress();
  const link = location.href;
  const parts = [el("p", {}, t("share_lead")), copyable(link, "link")];
  if (!isYaml(spec.value) && !/["$`\\!\n]/.test(spec.value)) {
    const shape = `1,${state.input.replace(/x/g, ",")}`;
    const input = /(^|\s)input=/.test(spec.value) ? "" : ` --input ${shape}`;
    const words = spec.value.trim();
    parts.push(el("p", {}, t("share_command")), copyable(`foveal analyze ${/^[\w:]+$/.test(words) ? words : `"${words}"`}${input}`, "command"));
  }
  showDialog(t("share"), ...parts);
}

async function showCode() {
  let said;
  try {
    said = await ask("/api/playground/code", { text: spec.value, shape: state.input });
  } catch (error) {
    showDialog(t("code"), el("p.problem", {}, error.message));
    return;
  }
  if (!said) return;
  const save = el("a.button", { download: "net.py", href: URL.createObjectURL(new Blob([said.code], { type: "text/x-python" })) }, t("save"));
  showDialog(t("code"), el("p", {}, t("code_lead")), copyable(said.code, "code-text", true), el("p", {}, save));
}

function startDialogs() {
  byId("share").addEventListener("click", showLink);
  byId("code").addEventListener("click", showCode);
  byId("dialog-close").addEventListener("click", () => dialog.close());
}

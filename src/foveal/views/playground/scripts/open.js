// Opening a network in the explorer: by name, from a file, or the one that is written here.

async function openNetwork(asked, told) {
  const job = await ask("/api/networks", asked);
  if (!job) return;
  told(t("waiting"));
  location.href = `/explore/${job.id}`;
}

function showOpen() {
  const name = el("input", { id: "open-name", autocomplete: "off", spellcheck: "false", list: "open-names" });
  const names = el("datalist", { id: "open-names" }, ...DATA.examples.map((e) => el("option", { value: `gallery:${e.name}` })));
  const file = el("input", { type: "file", id: "open-file", accept: ".onnx,.yaml,.yml" });
  const photo = el("input", { type: "file", id: "open-photo", accept: "image/png,image/jpeg,image/webp,image/bmp,image/gif" });
  const shape = el("input", { id: "open-input", autocomplete: "off", placeholder: "1,3,224,224" });
  const said = el("p", { role: "status", id: "open-said" });
  const go = el("button.strong", { type: "submit" }, t("open_button"));
  const submit = async (event) => {
    event.preventDefault();
    said.className = "";
    go.disabled = true;
    try {
      const asked = { source: name.value.trim(), input: shape.value };
      for (const [key, files] of [["upload", file.files], ["image", photo.files]]) {
        if (!files.length) continue;
        said.textContent = t("sending", { name: files[0].name });
        asked[key] = (await send(files[0])).id;
      }
      await openNetwork(asked, (text) => { said.textContent = text; });
    } catch (error) {
      said.className = "problem";
      said.textContent = error.message;
    } finally { go.disabled = false; }
  };
  const line = (key, input, hint) => el("label", {}, el("span", {}, t(key)), input, hint ? el("small", {}, t(hint)) : null);
  showDialog(t("open"), el("form.stack", { on: { submit } }, el("p", {}, t("open_lead")), line("open_name", name, "open_name_hint"), names,
    line("open_file", file), line("open_photo", photo), line("open_input", shape), said, go));
}

/** What a dropped file is for: a text comes into the editor, a network opens, a photo lies under the written one. */
async function dropped(file) {
  const status = byId("status");
  status.textContent = t("sending", { name: file.name });
  try {
    const sent = await send(file);
    if (sent.kind === "text") {
      state.layer = "";
      setText(sent.text);
      status.textContent = "";
      return changed();
    }
    const written = { source: spec.value, input: /(^|\s)input\s*[=:]/.test(spec.value) ? "" : `1x${state.input}` };
    const asked = sent.kind === "image" ? { ...written, image: sent.id } : { source: "", input: "", upload: sent.id };
    await openNetwork(asked, (text) => { status.textContent = text; });
  } catch (error) {
    status.textContent = "";
    showProblem({ message: error.message, place: error.place });
  }
}

/** Files may be dropped anywhere on the page. */
function startDrop() {
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const mark = (is) => document.body.classList.toggle("dropping", is);
  addEventListener("dragover", (event) => { if (files(event)) { event.preventDefault(); mark(true); } });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  addEventListener("drop", (event) => {
    mark(false);
    if (!files(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) dropped(event.dataTransfer.files[0]);
  });
}

function startOpen() {
  startDrop();
  byId("open").addEventListener("click", showOpen);
  byId("explore").addEventListener("click", async () => {
    try {
      await openNetwork({ source: spec.value, input: /(^|\s)input\s*[=:]/.test(spec.value) ? "" : `1x${state.input}` }, () => {});
    } catch (error) { showProblem({ message: error.message, place: error.place }); }
  });
}

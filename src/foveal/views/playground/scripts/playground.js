// The page as a whole: a change asks the server, an answer is drawn.

const DATA = JSON.parse(byId("data").textContent);
const PAUSE = 160;
let net = null, grown = null, found = null, timer = 0;

const busy = (is) => byId("results").setAttribute("aria-busy", String(is));
const leaves = () => { const some = net.layers.filter((row) => row.leaf); return some.length ? some : net.layers; };
const chosenRow = () => net.layers.find((row) => row.name === state.layer) ?? leaves().at(-1);

function changed() {
  clearTimeout(timer);
  busy(true);
  timer = setTimeout(refresh, PAUSE);
}

async function asked(question, more = {}) {
  const said = await ask(`/api/playground/${question}`, { text: state.text, shape: state.input, ...more });
  return said;
}

async function refresh() {
  writeAddress();
  try {
    const said = await asked("summary");
    if (!said) return;
    net = said;
    showProblem(null);
    followInput();
    grown = null;
    found = null;
    if (!net.layers.some((row) => row.name === state.layer)) state.layer = "";
    if (!net.kinds.includes(state.kind)) state.kind = "energy";
    draw();
    await Promise.all([fetchField(), fetchGrowth()]);
    busy(false);
  } catch (error) {
    busy(false);
    byId("results").classList.add("stale");
    byId("status").textContent = "";
    showProblem({ message: error.message, place: error.place });
  }
}

/** Where the text says its own input, as a network of the gallery does, the box beside it says the same. */
function followInput() {
  const box = byId("input");
  if (net.input === state.input || document.activeElement === box) return;
  box.value = state.input = net.input;
  writeAddress();
}

async function fetchGrowth() {
  const said = await asked("growth");
  if (!said) return;
  grown = said.grown;
  drawNumbers(net, chosenRow(), grown);
  drawChart();
}

async function fetchField() {
  const row = chosenRow();
  const said = await asked("field", { layer: row.name, kind: state.kind });
  if (!said) return;
  found = said.field ? { field: said.field, bytes: await inflate(said.field.data) } : said;
  drawField(net, row, found);
  byId("heat").dataset.layer = row.name;
}

function drawChart() {
  const rows = leaves(), box = byId("chart"), row = chosenRow();
  const about = {
    side: largest(net.lengths),
    unit: unitOf(net),
    row,
    at: rows.indexOf(row),
    effective: rows.flatMap(({ name }, i) => (grown?.[name] ? [[i, grown[name].erf]] : [])),
    mine: grown?.[row.name]?.erf,
    legend: byId("growth-legend"),
    least: 280,
    // Beside the field there is room for a taller chart.
    high: matchMedia("(min-width: 1241px)").matches && box.clientWidth < 800 ? 540 : 270,
  };
  sizeChart(box, rows, about, ({ name }) => choose(name));
}

function draw() {
  const row = chosenRow();
  byId("results").classList.remove("stale");
  drawNumbers(net, row, grown);
  drawFindings(net);
  drawChart();
  drawKinds(net, chooseView);
  drawField(net, row, found);
  drawLayers(net, row.name, choose);
  byId("status").textContent = t(leaves().length === 1 ? "ready_one" : "ready", { layers: leaves().length, rf: axesText(row.size), layer: row.name });
}

async function choose(name) {
  if (name === chosenRow().name) return;
  state.layer = name;
  found = null;
  writeAddress();
  draw();
  await guarded(fetchField);
}

async function chooseView(key, value) {
  state[key] = value;
  writeAddress();
  drawKinds(net, chooseView);
  byId(key === "kind" ? "kinds-choice" : "view-choice").querySelector("[aria-pressed='true']")?.focus();
  if (key === "view") drawField(net, chosenRow(), found);
  else await guarded(fetchField);
}

async function guarded(act) {
  try { await act(); } catch (error) { showProblem({ message: error.message, place: error.place }); }
}

function showState() {
  byId("input").value = state.input;
  setText(state.text, false);
  refresh();
}

function startExamples() {
  const select = byId("example");
  const draw = () => select.replaceChildren(el("option", { value: "" }, t("example_own")), ...DATA.examples.map((e) => el("option", { value: e.name }, e.name)));
  draw();
  onLanguage.push(draw);
  select.addEventListener("change", () => {
    const example = DATA.examples.find((e) => e.name === select.value);
    if (!example) return;
    state.layer = "";
    setText(example.text);
    select.value = "";
    changed();
  });
}

readAddress();
startLook();
startEditor(changed);
startPalette(DATA.kinds, changed);
startExamples();
startDialogs();
startOpen();
onAddress(showState);
onLanguage.push(() => { if (net) draw(); });
onTheme.push(() => { if (net) draw(); });
new ResizeObserver(() => { if (net) { drawChart(); drawField(net, chosenRow(), found); } }).observe(byId("results"));
showState();

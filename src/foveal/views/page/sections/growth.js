// How far the units of each layer can see (TRF), and the effective side, over depth.

let growthLog = false;

/** The leaves of a source (all layers where there are no leaves): what the chart walks along. */
function growthRows(source) {
  const rows = rowsOf(source).filter((row) => !row.behind),
    leaves = rows.filter((row) => row.leaf);
  return leaves.length ? leaves : rows;
}

/** The field that tells how much of a row's receptive field has weight; null where the page has none. */
function growthField(row) {
  const kinds = kindsOf(row);
  return packedField(row, kinds.includes("energy") ? "energy" : kinds[0]);
}

/** Effective side of a row; null where the page has no field of it. */
function growthErf(row) {
  const packed = growthField(row);
  return packed?.erf == null ? null : Math.max(...[packed.erf].flat());
}

function startGrowth() {
  const draw = () => {
    byId("growth-tools").replaceChildren(
      choice(
        t("scale"),
        [
          ["linear", t("linear")],
          ["log", t("log")],
        ],
        growthLog ? "log" : "linear",
        (value) => {
          growthLog = value === "log";
          draw();
          byId("growth-tools").querySelector(`[data-value='${value}']`).focus();
        },
      ),
      exportButtons("growth", () => byId("growth").querySelector("svg")),
    );
    drawGrowth();
  };
  state.onSelect(drawGrowth);
  onLanguage.push(draw);
  new ResizeObserver(eachFrame(drawGrowth)).observe(byId("growth"));
  draw();
}

function drawGrowth() {
  const rows = growthRows(state.source);
  const about = {
    side: largest(DATA.sources[state.source].lengths),
    unit: unitName(DATA.sources[state.source]),
    row: state.row,
    at: growthPlace(rows),
    effective: growthEffective(rows),
    mine: growthErf(state.row),
    legend: byId("growth-legend"),
    log: growthLog,
  };
  sizeChart(byId("growth"), rows, about, (row) => state.select(row.id));
}

/** [[place, side]] of the layers with fields; a module stands where its last leaf stands. */
function growthEffective(rows) {
  const found = new Map();
  for (const row of rowsOf(state.source)) {
    const erf = growthErf(row),
      at = erf == null ? -1 : growthPlace(rows, row);
    if (at >= 0) found.set(at, erf);
  }
  return [...found].sort((a, b) => a[0] - b[0]);
}

/** The place of a row among the leaves: its own, or, for a module, that of the last leaf inside it; -1 for none. */
function growthPlace(rows, row = state.row) {
  const own = rows.indexOf(row);
  return own >= 0 ? own : rows.findLastIndex((other) => other.name.startsWith(`${row.name}.`));
}

// The explorer: put a finger on a unit of the chosen layer and see what it sees.

/** Set by the server's page: askField(row, kind, unit) promises {field: packed} or {missing: text}. Null in a file. */
let askField = null;

const explorer = {
  unit: [],
  kind: "",
  held: false,
  seen: null,
  probe: null,
  field: null,
  at: null,
  said: "",
  parts: null,
};
/** Milliseconds of rest before what takes longer is done: the foveated view, a field from the server, speech. */
const REST = { foveate: 70, ask: 150, speak: 500 };

function startExplorer() {
  explorer.parts = explorerParts();
  byId("explorer").replaceChildren(explorer.parts.node);
  explorer.kind = DATA.kinds.find((kind) => kindsOf(state.row).includes(kind)) ?? DATA.kinds[0] ?? "";
  const redraw = () => {
    explorerTexts();
    explorerDraw();
  };
  onLanguage.push(redraw);
  onTheme.push(() => {
    explorer.parts.grid.base = null;
    explorerDraw();
  });
  state.onSelect(explorerShow);
  addEventListener("resize", eachFrame(explorerDraw));
  explorerShow();
}

/** Another layer or source. */
function explorerShow() {
  const { stage, grid } = explorer.parts,
    { row } = state;
  const before = stage.source;
  explorer.unit = middleUnit(row);
  explorer.held = false;
  stage.show(row);
  if (before !== stage.source) explorer.probe = null;
  explorer.seen = explorer.probe && row.tables ? seeing(row, explorer.probe) : null;
  grid.show(row);
  explorerTexts();
  explorerField();
  explorerDraw();
}

/** A unit was pointed at. steps: by a key or a press, which a held unit gives way to. */
function explorerChoose(unit, steps) {
  if (explorer.held && !steps) return;
  explorer.unit = unit;
  if (askField) explorerAsk();
  explorerDraw();
}

/** A press keeps the unit while the pointer goes elsewhere; another press on the same one lets it go. */
function explorerHold(unit) {
  const same = String(unit) === String(explorer.unit);
  explorer.held = same ? !explorer.held : true;
  explorer.unit = unit;
  explorerDraw();
}

/** A source position was chosen, or null: which units see it? */
function explorerProbe(position) {
  explorer.probe = position;
  explorer.seen = position && state.row.tables ? seeing(state.row, position) : null;
  explorerDraw();
}

function explorerSlice(slice) {
  const { stage, slider } = explorer.parts;
  stage.slice = Math.min(stage.lengths[0] - 1, Math.max(0, slice));
  slider.value = String(stage.slice);
  stageSlice(stage);
  explorerDraw();
}

function explorerKind(kind) {
  explorer.kind = kind;
  explorerTexts();
  explorerField();
}

/** The field of the middle unit from the page, or of this unit from the server. */
async function explorerField() {
  const { row } = state,
    { kind } = explorer;
  explorer.field = explorer.at = null;
  explorer.said = kind ? whyMissing(row, kind) : "";
  if (askField && kind && row.tables) {
    explorerAsk();
    return explorerDraw();
  }
  const field = kind ? await fieldOf(row, kind) : null;
  if (state.row !== row || explorer.kind !== kind) return;
  explorer.field = field;
  explorer.at = field?.unit ?? null;
  if (!field && kind && !explorer.said) explorer.said = t("x_no_field");
  explorerDraw();
}

/** Ask the server for the field of the unit that is looked at, once the pointer rests. */
function explorerAsk() {
  clearTimeout(explorer.asking);
  explorer.asking = setTimeout(async () => {
    const { row } = state,
      { kind, unit } = explorer;
    if (!kind) return;
    explorer.said = t("x_computing");
    explorerRead(explorer.view);
    let answer;
    try {
      answer = await askField(row, kind, unit);
    } catch (error) {
      answer = { missing: error.message };
    }
    if (!answer || state.row !== row || explorer.kind !== kind || String(explorer.unit) !== String(unit)) return;
    explorer.field = answer.field ? { ...answer.field, values: await inflate(answer.field.data) } : null;
    explorer.at = explorer.field?.unit ?? null;
    explorer.said = answer.missing ?? "";
    explorerDraw();
  }, REST.ask);
}

/** Everything that is drawn of the unit that is looked at. */
function unitView() {
  const { row } = state,
    { unit, field, at } = explorer;
  const clipped = boxes(row, unit),
    unclipped = boxes(row, unit, { clip: false });
  const local = hasLocal(row) ? boxes(row, unit, { local: true }) : null;
  const centre = centerOf(row, unit);
  const reachesOut = Boolean(
    clipped &&
    unclipped &&
    unclipped.some((side, i) => side && clipped[i] && (side[0] < clipped[i][0] || side[1] > clipped[i][1])),
  );
  const from =
    at && (boxes(row, at, { clip: false })?.every(Boolean) ? boxes(row, at, { clip: false }) : boxes(row, at));
  const to = at && (unclipped?.every(Boolean) ? unclipped : clipped);
  const shift =
    from && to ? to.map((side, i) => (side && from[i] ? side[0] - from[i][0] : 0)) : (clipped ?? []).map(() => 0);
  // The field of one unit stands for another only where units advance over the source; tokens that see everything
  // have each their own.
  const own = String(at) === String(unit),
    advances = row.stride.every((step) => step != null);
  return {
    row,
    unit,
    clipped,
    unclipped,
    local,
    centre,
    reachesOut,
    field: clipped?.every(Boolean) && (own || advances) ? field : null,
    shift,
    probe: explorer.probe,
    moved: Boolean(field && !own),
    other: Boolean(field && !own && !advances),
  };
}

function explorerDraw() {
  const { stage, grid, surface, slider } = explorer.parts;
  if (!state.row) return;
  const view = unitView();
  explorer.view = view;
  stage.draw(view);
  grid.draw(explorer.unit, explorer.seen);
  grid.node.classList.toggle("x-held", explorer.held);
  slider.value = String(stage.slice);
  explorerRead(view);
  const plane = stage.axes && view.field ? fieldPlane(view.field, view.field.values) : null;
  explorer.parts.surfaceBox.hidden = !plane;
  if (
    plane &&
    (surface.plane?.values !== plane.values || surface.theme !== isDark() || surface.wide !== surface.node.clientWidth)
  ) {
    [surface.theme, surface.wide] = [isDark(), surface.node.clientWidth];
    surface.draw(plane);
  }
  clearTimeout(explorer.resting);
  explorer.resting = setTimeout(() => explorerFoveate(view), REST.foveate);
}

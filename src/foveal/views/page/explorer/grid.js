// The feature map of the chosen layer: one cell per unit. Pointing at a cell, touching it or the arrow keys
// choose a unit.

const GRID_WIDE = 320,
  GRID_TALL = 300,
  GRID_CELL = 56;

/**
 * How the unit grid of a row lies on the screen: {rows, columns, lead, unit(r, c, fixed), place(unit)}. One axis of many
 * units over a plane (tokens) is broken into lines; axes before the last two (lead) are set by sliders.
 */
function gridLayout(row) {
  const { grid } = row,
    n = grid.length;
  if (n === 0) return { rows: 1, columns: 1, lead: [], unit: () => [], place: () => [0, 0] };
  if (n === 1 && row.tokens) return tokenLayout(row.tokens, grid[0]);
  if (n === 1) {
    const lines = (DATA.sources[sourceOf(row)]?.lengths.length ?? 1) > 1 && grid[0] > 24;
    const columns = lines ? Math.floor(Math.sqrt(grid[0])) : grid[0];
    return {
      rows: Math.ceil(grid[0] / columns),
      columns,
      lead: [],
      unit: (r, c) => (r * columns + c < grid[0] ? [r * columns + c] : null),
      place: ([i]) => [Math.floor(i / columns), i % columns],
    };
  }
  const lead = grid.slice(0, -2);
  return {
    rows: grid[n - 2],
    columns: grid[n - 1],
    lead,
    unit: (r, c, fixed) => [...fixed, r, c],
    place: (unit) => unit.slice(-2),
  };
}

/** Patches as they lie on the plane; above them, apart, tokens that stand for no patch. */
function tokenLayout({ special, grid }, count) {
  const columns = grid.at(-1),
    patches = Array.from({ length: count }, (_, i) => i).filter((i) => !special.includes(i));
  const above = special.length ? Math.ceil(special.length / columns) + 1 : 0;
  const places = new Map(patches.map((token, i) => [token, [above + Math.floor(i / columns), i % columns]]));
  special.forEach((token, i) => places.set(token, [Math.floor(i / columns), i % columns]));
  const tokens = new Map([...places].map(([token, place]) => [String(place), [token]]));
  return {
    rows: above + patches.length / columns,
    columns,
    lead: [],
    unit: (r, c) => tokens.get(String([r, c])) ?? null,
    place: ([token]) => places.get(token),
  };
}

/** The grid: {node, show(row), draw(unit, seen)}; choose(unit) is told of the unit, hold() of a press. */
function makeGrid(choose, hold) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const grid = {
    canvas,
    node: el("div.x-grid", { tabindex: "0", role: "application", id: "x-grid" }, canvas),
    row: null,
    layout: null,
    unit: [],
    shades: null,
  };
  grid.show = (row) => {
    grid.row = row;
    grid.layout = gridLayout(row);
    grid.shades = gridShades(row);
    grid.base = null;
  };
  grid.draw = (unit, seen) => gridDraw(grid, unit, seen);
  gridPointer(grid, choose, hold);
  gridKeys(grid, choose, hold);
  return grid;
}

/** Share of each unit's unclipped box that lies inside the input, 0 to 255; null where it is not known. */
function gridShades(row) {
  if (!row.tables || row.grid.includes(0)) return null;
  const count = row.grid.reduce((a, b) => a * b, 1);
  const shares = new Float32Array(count).fill(1);
  row.tables.first.forEach((number, axis) => {
    if (!row.tables.known[axis]) return;
    const [first, last] = [ARRAYS[number], ARRAYS[row.tables.last[axis]]];
    const inside = new Int32Array(count);
    spread(last, row.grid, (value, at) => {
      inside[at] = value + 1;
    });
    spread(first, row.grid, (value, at) => {
      inside[at] -= value;
    });
    const all = new Int32Array(count);
    spread(unclippedPart(last), row.grid, (value, at) => {
      all[at] = value + 1;
    });
    spread(unclippedPart(first), row.grid, (value, at) => {
      all[at] -= value;
    });
    for (let at = 0; at < count; at++) shares[at] *= all[at] > 0 ? Math.min(1, Math.max(0, inside[at] / all[at])) : 0;
  });
  spread(ARRAYS[row.tables.nothing], row.grid, (value, at) => {
    if (value) shares[at] = 0;
  });
  return shares;
}

/** The unclipped half of an array, as an array of its own. */
const unclippedPart = (array) => ({ shape: array.shape, values: array.values.subarray(array.values.length / 2) });

/** Where the cells lie, in CSS pixels. */
function gridSize(grid) {
  const { rows, columns } = grid.layout;
  const room = Math.max(120, Math.min(GRID_WIDE, grid.node.parentElement?.clientWidth || GRID_WIDE));
  const wide = Math.min(GRID_CELL, room / columns),
    tall = rows === 1 ? 36 : Math.min(GRID_CELL, GRID_TALL / rows);
  const cell =
    rows === 1 ? [Math.min(36, wide), tall] : columns === 1 ? [36, tall] : Array(2).fill(Math.min(wide, tall));
  const stretched = rows > 1 && columns > 1 ? cell : [rows === 1 ? wide : cell[0], cell[1]];
  return { cell: stretched, width: Math.max(8, stretched[0] * columns), height: Math.max(8, stretched[1] * rows) };
}

function gridDraw(grid, unit, seen) {
  if (!grid.layout) return;
  grid.unit = unit;
  const { rows, columns, place } = grid.layout;
  const { cell, width, height } = gridSize(grid);
  const fixed = unit.slice(0, grid.layout.lead.length);
  const key = `${width} ${height} ${fixed} ${isDark()} ${devicePixelRatio}`;
  if (grid.key !== key || grid.seen !== seen || !grid.base) {
    grid.base = gridBase(grid, seen, fixed, cell, width, height);
    [grid.key, grid.seen, grid.ink] = [key, seen, colour("--accent")];
  }
  Object.assign(grid.canvas.dataset, { rows, columns });
  const pen = sharp(grid.canvas, width, height);
  pen.drawImage(grid.base, 0, 0, width, height);
  const [r, c] = place(unit);
  const [x, y, w, h] = [c * cell[0], r * cell[1], Math.max(3, cell[0]), Math.max(3, cell[1])];
  pen.fillStyle = grid.ink;
  pen.fillRect(Math.min(x, width - w), Math.min(y, height - h), w, h);
  if (Math.min(...cell) >= 8) return;
  pen.strokeStyle = grid.ink;
  pen.globalAlpha = 0.45;
  pen.strokeRect(x + w / 2, -1, 0.01, height + 2);
  if (rows > 1) pen.strokeRect(-1, y + h / 2, width + 2, 0.01);
  pen.globalAlpha = 1;
}

/**
 * The cells without the chosen one: darker where more of a unit's box lies inside the input; those that see the
 * chosen pixel in the second colour.
 */
function gridBase(grid, seen, fixed, cell, width, height) {
  const { rows, columns, unit } = grid.layout;
  const canvas = el("canvas");
  const pen = sharp(canvas, width, height);
  const [faint, mark] = [colour("--accent"), colour("--effective")];
  const gap = Math.min(...cell) >= 5 ? 1 : 0;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = unit(r, c, fixed);
      if (!at) continue;
      const place = placeOf(grid.row, at);
      const share = grid.shades ? grid.shades[place] : 0.5;
      pen.fillStyle = seen?.[place] ? mark : faint;
      pen.globalAlpha = seen?.[place] ? 0.75 : 0.08 + 0.24 * share;
      pen.fillRect(c * cell[0], r * cell[1], cell[0] - gap, cell[1] - gap);
    }
  }
  return canvas;
}

/** The unit under a pointer, or null. */
function gridAt(grid, event) {
  const box = grid.canvas.getBoundingClientRect();
  const { rows, columns, unit, lead } = grid.layout;
  const within = (value, most) => Math.min(most - 1, Math.max(0, value));
  const c = within(Math.floor(((event.clientX - box.left) / box.width) * columns), columns);
  const r = within(Math.floor(((event.clientY - box.top) / box.height) * rows), rows);
  return unit(r, c, grid.unit.slice(0, lead.length));
}

function gridPointer(grid, choose, hold) {
  const point = eachFrame((event) => {
    const unit = grid.layout && gridAt(grid, event);
    if (unit) choose(unit, event.type === "pointerdown");
  });
  grid.canvas.addEventListener("pointermove", point);
  grid.canvas.addEventListener("pointerdown", (event) => {
    const unit = grid.layout && gridAt(grid, event);
    if (unit) hold(unit);
  });
}

/**
 * Arrow keys go to the next unit, with Shift a tenth of the map; Home and End to the first and the last; Enter
 * holds.
 */
function gridKeys(grid, choose, hold) {
  grid.node.addEventListener("keydown", (event) => {
    if (!grid.layout || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = gridNext(grid, event);
    if (next) choose(next, true);
    else if (event.key === "Enter" || event.key === " ") hold(grid.unit);
    else return;
    event.preventDefault();
  });
}

function gridNext(grid, event) {
  const { rows, columns, unit, place, lead } = grid.layout;
  const fixed = grid.unit.slice(0, lead.length),
    [r, c] = place(grid.unit);
  if (event.key === "Home") return unit(0, 0, fixed);
  if (event.key === "End") return grid.row.grid.map((n, i) => (i < lead.length ? fixed[i] : n - 1));
  const [dx, dy] = ARROWS[event.key] ?? [0, 0];
  if (!dx && !dy) return null;
  const far = (n) => (event.shiftKey ? Math.max(1, Math.round(n / 10)) : 1);
  const within = (value, most) => Math.min(most - 1, Math.max(0, value));
  const to = (steps) =>
    unit(within(r + steps * dy * far(rows), rows), within(c + steps * dx * far(columns), columns), fixed);
  // Between the patches and the tokens above them lies an empty line.
  return to(1) ?? to(2) ?? (dy < 0 ? unit(0, 0, fixed) : null) ?? grid.unit;
}

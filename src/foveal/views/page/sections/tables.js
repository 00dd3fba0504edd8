// The receptive field of every unit, read from the tables: the same integers as in the program, nothing rounded.

/** One value of an array {shape, values} of which the first axis is chosen and axes of length 1 stand for all. */
function entry(array, first, unit) {
  let at = first;
  for (let i = 1; i < array.shape.length; i++) at = at * array.shape[i] + (array.shape[i] === 1 ? 0 : unit[i - 1]);
  return array.values[at];
}

/**
 * The box of a unit (one index per axis of row.grid): per source axis [first, last], both inside the box, or null where
 * the unit reads nothing or the unclipped box is withheld. Null as a whole where the page does not carry the tables
 * (hasBoxes(row)) or, with ``local``, where there is no local receptive field that differs.
 */
function boxes(row, unit, { clip = true, local = false } = {}) {
  const tables = local ? row.tables?.local : row.tables;
  if (!tables) return null;
  const which = clip ? 0 : 1;
  if (entry(ARRAYS[tables.nothing], which, unit)) return tables.first.map(() => null);
  return tables.first.map((number, axis) =>
    clip || tables.known[axis]
      ? [entry(ARRAYS[number], which, unit), entry(ARRAYS[tables.last[axis]], which, unit)]
      : null,
  );
}

const hasBoxes = (row) => row.tables != null;
const hasLocal = (row) => row.tables?.local != null;

/** Middle of the unclipped box per source axis (pixel indices, may end in .5); null where that box is withheld. */
const centerOf = (row, unit) =>
  boxes(row, unit, { clip: false })?.map((side) => side && (side[0] + side[1]) / 2) ?? null;

/** The middle unit (n // 2 per axis, or the token of the central patch), the one whose fields the page carries. */
const middleUnit = (row) => row.middle;

/** Whose clipped boxes hold a source position: a byte per unit of row.grid, last axis fastest; null without tables. */
function seeing(row, position, { local = false } = {}) {
  const tables = local ? row.tables?.local : row.tables;
  if (!tables) return null;
  const found = new Uint8Array(row.grid.reduce((a, b) => a * b, 1)).fill(1);
  spread(ARRAYS[tables.nothing], row.grid, (value, at) => {
    if (value) found[at] = 0;
  });
  tables.first.forEach((number, axis) => {
    spread(ARRAYS[number], row.grid, (value, at) => {
      if (value > position[axis]) found[at] = 0;
    });
    spread(ARRAYS[tables.last[axis]], row.grid, (value, at) => {
      if (value < position[axis]) found[at] = 0;
    });
  });
  return found;
}

/** The same as a list of units. */
function unitsOf(row, position, options) {
  const found = seeing(row, position, options) ?? [];
  return Array.from(found.keys())
    .filter((at) => found[at])
    .map((at) => unitAt(row, at));
}

/** The unit at a place of the flattened grid, and back. */
const unitAt = (row, at) =>
  row.grid.map((n, i) => Math.floor(at / row.grid.slice(i + 1).reduce((a, b) => a * b, 1)) % n);
const placeOf = (row, unit) => unit.reduce((at, index, i) => at * row.grid[i] + index, 0);

/** Calls act(value, place) for each unit with the clipped value of an array that may have axes of length 1. */
function spread(array, grid, act) {
  const shape = array.shape.slice(1),
    count = grid.reduce((a, b) => a * b, 1);
  const steps = shape.map((n, i) => (n === 1 ? 0 : shape.slice(i + 1).reduce((a, b) => a * b, 1)));
  const unit = grid.map(() => 0);
  let from = 0;
  for (let at = 0; at < count; at++) {
    act(array.values[from], at);
    for (let i = grid.length - 1; i >= 0; i--) {
      from += steps[i];
      if (++unit[i] < grid[i]) break;
      from -= steps[i] * grid[i];
      unit[i] = 0;
    }
  }
}

// The boxes of all units, read from the per-axis tables: integers, nothing rounded.

/** The arrays of the block: differences along each flattened array, little-endian int32, zlib, base64. */
async function readTables(block) {
  const bytes = await unpack(block.data);
  const flat = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  let start = 0;
  return block.shapes.map((shape) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = new Int32Array(count);
    let sum = 0;
    for (let i = 0; i < count; i++) { sum = (sum + flat[start + i]) | 0; values[i] = sum; }
    start += count;
    return { shape, values };
  });
}

/** The entry of a (2, *grid or 1s) array for a unit; row 0 is clipped, row 1 unclipped. */
function entry(table, row, unit) {
  let at = row;
  unit.forEach((index, axis) => { const n = table.shape[axis + 1]; at = at * n + (n > 1 ? index : 0); });
  return table.values[at];
}

/** [[first, last + 1], ...] per source axis, null where withheld, or null where the unit reads nothing. */
function boxOf(tables, arrays, unit, clip) {
  const row = clip ? 0 : 1;
  if (!tables || entry(arrays[tables.nothing], row, unit)) return null;
  return tables.first.map((number, axis) => (clip || tables.known[axis]
    ? [entry(arrays[number], row, unit), entry(arrays[tables.last[axis]], row, unit) + 1] : null));
}

/** Whether a unit's clipped box holds a source position. */
function sees(tables, arrays, unit, position) {
  const box = boxOf(tables, arrays, unit, true);
  return Boolean(box) && box.every(([a, b], axis) => a <= position[axis] && position[axis] < b);
}

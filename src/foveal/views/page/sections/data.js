// What the page was given, and how its compressed parts are read. Names in it are only ever put on the page as text.

const DATA = JSON.parse(document.getElementById("data").textContent);
/** One row per layer and source; row.id is the number of the layer, the same for all sources. */
const ROWS = DATA.layers;
/** Integer arrays {shape, values} that the tables of the rows refer to by number; filled by startData(). */
const ARRAYS = [];
const decoded = new Map();

/** Fill ARRAYS; wait for it before boxes() is asked. */
async function startData() {
  const flat = new DataView((await inflate(DATA.tables.data)).buffer);
  let at = 0;
  for (const shape of DATA.tables.shapes) {
    const values = new Int32Array(shape.reduce((a, b) => a * b, 1));
    let sum = 0;
    for (let i = 0; i < values.length; i++, at += 4) values[i] = sum = (sum + flat.getInt32(at, true)) | 0;
    ARRAYS.push({ shape, values });
  }
}

/** The rows of one source, in execution order. */
const rowsOf = (source) => ROWS.filter((row) => row.source === DATA.sources[source].name);

/** The row of a layer number and a source number, or undefined. */
const rowOf = (layer, source) => ROWS.find((row) => row.id === layer && row.source === DATA.sources[source].name);

/** The number of the source of a row. */
const sourceOf = (row) => DATA.sources.findIndex((source) => source.name === row.source);

/** value@source -> the key of its fields: layers that hold the same value (a module and its last layer) share them. */
const FIELD_KEYS = new Map(
  ROWS.map((row) => [`${row.value}@${row.source}`, `${row.name}@${row.source}`]).filter(([, key]) => DATA.fields[key]),
);
const fieldKey = (row) => FIELD_KEYS.get(`${row.value}@${row.source}`);

/** Kinds of field that the page carries for a row, such as ["energy", "paths"]; empty where none were computed. */
const kindsOf = (row) => Object.keys(DATA.fields[fieldKey(row)] ?? {});

/** Why a row has no field of this kind: one line of text, or "". */
const whyMissing = (row, kind) => DATA.missing[fieldKey(row)]?.[kind] ?? "";

/** A field before it is unpacked (unit, origin, step, shape, hull, erf, side_90, sigma ...), or null. */
const packedField = (row, kind) => DATA.fields[fieldKey(row)]?.[kind] ?? null;

/** What a position of a source is called: a pixel of an image, a voxel of a volume, a sample, a token. */
const unitName = (source) => t(`unit_${source.unit}`);

/** Sizes in milliseconds or millimetres, " = 192 ms", where the reader said what a position measures; else "". */
function measured(source, sizes) {
  if (!source.step?.length || !sizes?.every((size) => size != null)) return "";
  const said = sizes.map((size, i) => number(Number((size * source.step[i]).toPrecision(4))));
  return ` = ${said.every((one) => one === said[0]) ? said[0] : said.join(" × ")} ${source.measure}`;
}

/** "188 – 204" where units differ, per axis; "427" where all axes and units are alike. */
function rangeText(row) {
  if (!row.sizes?.length || row.sizes.some((pair) => !pair)) return axesText(row.size);
  const sides = row.sizes.map(([low, high]) => (low === high ? number(high) : `${number(low)}\u00a0–\u00a0${number(high)}`));
  return sides.every((side) => side === sides[0]) ? sides[0] : sides.join(" × ");
}

/** Promise of the field of a row's middle unit with its samples: {...packed, values: Uint8Array}, or null. Kept. */
async function fieldOf(row, kind) {
  const packed = packedField(row, kind);
  if (!packed) return null;
  if (!decoded.has(packed)) decoded.set(packed, { ...packed, values: await inflate(packed.data) });
  return decoded.get(packed);
}

/** A way to ask for fields that asks each question once: what the page carries, what was answered, else answer(...). */
function askedOnce(answer) {
  const known = new Map();
  return async (row, kind, unit) => {
    const held = packedField(row, kind);
    if (held && String(held.unit) === String(unit)) return { field: held };
    const key = JSON.stringify([row.name, row.source, kind, unit]);
    if (known.has(key)) return known.get(key);
    const found = await answer(row, kind, unit);
    if (found?.field) known.set(key, found);
    if (known.size > 300) known.delete(known.keys().next().value);
    return found;
  };
}

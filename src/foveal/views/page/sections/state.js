// Which layer and source the whole page looks at. Parts tell it with select() and listen with onSelect().

const state = {
  row: null,
  listeners: [],
  /** Number of the source that row belongs to. */
  get source() {
    return sourceOf(this.row);
  },
  /** Look at a layer, by its number (row.id); source: a number, the present one where it is left out. */
  select(layer, source = this.row ? this.source : 0) {
    const row = rowOf(layer, source);
    if (!row || row === this.row) return;
    this.row = row;
    for (const act of this.listeners) act(row);
  },
  /** Call act(row) whenever another layer or source is chosen. */
  onSelect(act) {
    this.listeners.push(act);
  },
};

/** The layer to start with and to sum up: a detector's middle level, else the last with fields and more than one unit, else the last with tables. */
function firstRow() {
  const levels = (DATA.levels ?? []).map((level) => rowsOf(0).find((row) => row.name === level.layer)).filter(Boolean);
  if (levels.length) return levels[Math.floor((levels.length - 1) / 2)];
  const known = rowsOf(0).filter((row) => row.tables && row.size);
  const moving = known.filter((row) => row.grid.some((n) => n > 1));
  const sure = moving.filter((row) => row.status !== "data-dependent" && kindsOf(row).length);
  return (
    sure.at(-1) ??
    moving.filter((row) => kindsOf(row).length).at(-1) ??
    moving.at(-1) ??
    known.at(-1) ??
    ROWS.at(-1) ??
    null
  );
}

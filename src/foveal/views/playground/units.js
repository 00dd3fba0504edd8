// The units of a layer as a grid: one of them is chosen, those that see a position are shaded.

const units = { rows: 1, columns: 1, cell: 1 };

function drawUnits(canvas, grid, unit, seen) {
  const [rows, columns] = grid.length === 0 ? [1, 1] : grid.length === 1 ? [1, grid[0]] : grid.slice(-2);
  const room = Math.max(220, canvas.parentElement.clientWidth - 42);
  const cell = Math.min(room / columns, 340 / rows, 60);
  Object.assign(units, { rows, columns, cell });
  const tall = Math.max(rows * cell, 14);
  const pen = sharp(canvas, columns * cell, tall);
  pen.fillStyle = colour("--faint");
  pen.fillRect(0, 0, columns * cell, tall);
  if (seen) {
    pen.fillStyle = colour("--effective");
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) if (seen[r * columns + c]) pen.fillRect(c * cell, r * cell, cell + 0.4, Math.max(cell, tall / rows) + 0.4);
  }
  if (cell >= 5) {
    pen.strokeStyle = colour("--line");
    pen.lineWidth = 1;
    pen.beginPath();
    for (let r = 0; r <= rows; r++) { pen.moveTo(0, r * cell); pen.lineTo(columns * cell, r * cell); }
    for (let c = 0; c <= columns; c++) { pen.moveTo(c * cell, 0); pen.lineTo(c * cell, tall); }
    pen.stroke();
  }
  const [row, column] = [unit.at(-2) ?? 0, unit.at(-1) ?? 0];
  const shown = Math.max(cell, 7), x = (column + 0.5) * cell - shown / 2, y = grid.length < 2 ? 0 : (row + 0.5) * cell - shown / 2;
  pen.fillStyle = colour("--accent");
  pen.fillRect(x, y, shown, grid.length < 2 ? tall : shown);
  pen.strokeStyle = colour("--paper");
  pen.lineWidth = 1.5;
  pen.strokeRect(x, y, shown, grid.length < 2 ? tall : shown);
}

/** The unit under the pointer. */
function unitAt(event, canvas, grid, unit) {
  const place = canvas.getBoundingClientRect();
  const column = Math.max(0, Math.min(units.columns - 1, Math.floor((event.clientX - place.left) / units.cell)));
  const row = Math.max(0, Math.min(units.rows - 1, Math.floor((event.clientY - place.top) / units.cell)));
  if (!grid.length) return [];
  return grid.length === 1 ? [column] : [...unit.slice(0, -2), row, column];
}

/** The unit that an arrow key leads to, or null. */
function unitBy(event, grid, unit) {
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowLeft: [-1, -far], ArrowRight: [-1, far], ArrowUp: [-2, -far], ArrowDown: [-2, far], Home: [-1, -Infinity], End: [-1, Infinity], PageUp: [-2, -Infinity], PageDown: [-2, Infinity] };
  const [axis, by] = moves[event.key] ?? [0, 0];
  const at = unit.length + axis;
  if (!by || at < 0 || at >= unit.length) return null;
  return unit.map((index, i) => (i === at ? Math.max(0, Math.min(grid[i] - 1, index + by)) : index));
}

// Where the boxes of the network graph stand: an open module is laid out by itself and then is a box in its parent.

const BOX = { wide: 158, high: 58 }, GAP = { x: 46, y: 18 }, PAD = { side: 18, top: 38, bottom: 16 }, SKIP = 12;

/**
 * The modules as a tree. items: id -> {id, row, parent, children, level, order, leaves}; the root's id is null; source k
 * has the id -1 - k and no row. links: container id -> [[child, child]] whose leaves are linked, in order of execution.
 */
function networkTree() {
  const items = new Map([[null, { id: null, children: [], level: 0, order: 0, leaves: 0 }]]);
  DATA.sources.forEach((_, k) => items.set(-1 - k, { id: -1 - k, row: null, parent: null, children: [], order: -1 - k, leaves: 0 }));
  for (const row of ROWS) if (!items.has(row.id)) items.set(row.id, { id: row.id, row, parent: row.parent < 0 ? null : row.parent, children: [], order: row.leaf ? row.id : Infinity, leaves: 0 });
  for (const item of items.values()) {
    if (item.id === null) continue;
    items.get(item.parent).children.push(item);
    if (!item.row?.leaf) continue;
    for (let up = item.parent; ; up = items.get(up).parent) {
      const above = items.get(up);
      above.leaves++;
      above.order = Math.min(above.order, item.id);
      if (up === null) break;
    }
  }
  for (const item of items.values()) item.children.sort((a, b) => a.order - b.order);
  const deepen = (item) => item.children.forEach((child) => { child.level = item.level + 1; deepen(child); });
  deepen(items.get(null));
  return { items, links: levelLinks(items) };
}

/** The ids from the root down to an item, without the root. */
function pathTo(items, id) {
  const path = [];
  for (let at = id; at !== null; at = items.get(at).parent) path.unshift(at);
  return path;
}

/** The links as seen by the lowest module that holds both ends: between its children. */
function levelLinks(items) {
  const found = new Map();
  for (const [from, to] of DATA.links) {
    if (!items.has(from) || !items.has(to)) continue;
    const [a, b] = [pathTo(items, from), pathTo(items, to)];
    let depth = 0;
    while (a[depth] === b[depth] && depth < a.length - 1 && depth < b.length - 1) depth++;
    if (a[depth] === b[depth]) continue;
    const level = depth ? a[depth - 1] : null;
    if (!found.has(level)) found.set(level, new Map());
    found.get(level).set(`${a[depth]} ${b[depth]}`, [a[depth], b[depth]]);
  }
  return new Map([...found].map(([level, links]) => [level, [...links.values()]]));
}

/** {wide, high, boxes}: the layout of what stands in a module; open: ids of open modules. Boxes hold their own ones. */
function networkLayout(tree, open, id = null) {
  const boxes = tree.items.get(id).children.map((item) => {
    const inner = item.children.length && open.has(item.id) ? networkLayout(tree, open, item.id) : null;
    return { item, inner, wide: inner ? inner.wide + 2 * PAD.side : BOX.wide, high: inner ? inner.high + PAD.top + PAD.bottom : BOX.high };
  });
  const known = new Map(boxes.map((box, order) => [box.item.id, Object.assign(box, { order, before: [] })]));
  const links = tree.links.get(id) ?? [];
  for (const [from, to] of links) if (known.get(from).order < known.get(to).order) known.get(to).before.push(known.get(from));
  const columns = intoColumns(boxes);
  for (const column of columns) column.forEach((box) => stack(box, column));
  const skips = links.filter(([from, to]) => known.get(to).column - known.get(from).column > 1);
  const room = skips.length ? SKIP * Math.min(4, skips.length) + 6 : 0;
  const top = Math.min(0, ...boxes.map((box) => box.y)) - room;
  for (const box of boxes) box.y -= top;
  return { boxes, wide: Math.max(0, ...boxes.map((box) => box.x + box.wide)), high: Math.max(0, ...boxes.map((box) => box.y + box.high)) };
}

/** Columns by the longest way from the start; sets box.column and box.x. */
function intoColumns(boxes) {
  const columns = [];
  for (const box of boxes) {
    box.column = box.before.length ? 1 + Math.max(...box.before.map((other) => other.column)) : 0;
    (columns[box.column] ??= []).push(box);
  }
  let x = 0;
  for (const column of columns) {
    const wide = Math.max(...column.map((box) => box.wide));
    for (const box of column) box.x = x + (wide - box.wide) / 2;
    x += wide + GAP.x;
  }
  return columns;
}

/** Sets box.y: level with what it comes from, or at the nearest free place of its column. */
function stack(box, column) {
  const from = box.before.filter((other) => other.column === box.column - 1);
  const middles = (from.length ? from : box.before).map((other) => other.y + other.high / 2);
  const wish = (middles.length ? middles.reduce((a, b) => a + b) / middles.length : BOX.high / 2) - box.high / 2;
  const placed = column.filter((other) => other !== box && other.y != null);
  const free = (y) => placed.every((other) => y + box.high + GAP.y <= other.y || y >= other.y + other.high + GAP.y);
  const places = [wish, ...placed.flatMap((other) => [other.y + other.high + GAP.y, other.y - box.high - GAP.y])].filter(free);
  box.y = places.sort((a, b) => Math.abs(a - wish) - Math.abs(b - wish) || b - a)[0];
}

/** All boxes from outside in, with their places on the whole drawing: [{item, x, y, wide, high, open}]. */
function flatBoxes(layout, x = 0, y = 0) {
  return layout.boxes.flatMap((box) => [
    { item: box.item, x: x + box.x, y: y + box.y, wide: box.wide, high: box.high, open: Boolean(box.inner) },
    ...(box.inner ? flatBoxes(box.inner, x + box.x + PAD.side, y + box.y + PAD.top) : []),
  ]);
}

/** Links between boxes that are drawn closed: [{from, to, path}], each once. */
function drawnLinks(tree, boxes) {
  const known = new Map(boxes.map((box) => [box.item.id, box]));
  const shown = (id) => pathTo(tree.items, id).find((at) => known.has(at) && !known.get(at).open);
  const found = new Map(), over = new Map();
  for (const link of DATA.links) {
    if (!tree.items.has(link[0]) || !tree.items.has(link[1])) continue;
    const [from, to] = link.map(shown);
    if (from != null && to != null && from !== to) found.set(`${from} ${to}`, [from, to]);
  }
  const closed = boxes.filter((box) => !box.open).sort((a, b) => a.x - b.x);
  return [...found.values()].map(([from, to]) => ({ from, to, path: linkPath(known.get(from), known.get(to), closed, over) }));
}

/** A curve from box to box; over those that stand in between, each next link to the same end a little higher. */
function linkPath(from, to, closed, over) {
  const [x1, y1, x2, y2] = [from.x + from.wide, from.y + from.high / 2, to.x, to.y + to.high / 2];
  const low = Math.min(y1, y2) - 6, high = Math.max(y1, y2) + 6;
  const between = x2 > x1 ? closed.filter((box) => box.x > x1 - 1 && box.x + box.wide < x2 + 1) : [];
  const bend = Math.max(18, Math.min(46, Math.abs(x2 - x1) / 2));
  if (!between.some((box) => box.y < high && box.y + box.high > low)) return `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
  const count = over.get(to) ?? 0;
  over.set(to, count + 1);
  const y = Math.min(...between.filter((box) => box.y < high).map((box) => box.y), from.y, to.y) - SKIP - 5 * Math.min(count, 5);
  return `M${x1},${y1}C${x1 + 26},${y1} ${x1 + 4},${y} ${x1 + 40},${y}L${x2 - 40},${y}C${x2 - 4},${y} ${x2 - 26},${y2} ${x2},${y2}`;
}

// Where the boxes of the network graph stand: an open module is laid out by itself and then is a box in its parent.

const BOX = { wide: 158, high: 58 },
  GAP = { x: 46, y: 18 },
  PAD = { side: 18, top: 38, bottom: 16 };
/** Links over boxes: the first so far above them, each next lane a little higher, at most so many. */
const SKIP = 12,
  LANE = 8,
  LANES = 8;

/** Modules with more parts than this show runs of layers as groups. */
const MANY_PARTS = 60,
  GROUP = 50;
/** Equal blocks that follow each other so often are folded into one; at most so many parts make a block. */
const REPEATS = 3,
  PERIOD = 16,
  LEAVES = 24;
/** Between two lines of a drawing that is too wide for one. */
const LINE_GAP = 40;

/**
 * The modules as a tree. items: id -> {id, row, name, prefix, parent, children, level, order, leaves}; the root's id is
 * null; source k has the id -1 - k and no row; groups of layers that no module holds have ids from 1e6 and the row of
 * their last layer. links: id -> [[child, child]] whose leaves are linked, in order of execution.
 */
function networkTree() {
  const item = (id, parent, row, name, prefix) => ({
    id,
    parent,
    row,
    name,
    prefix,
    children: [],
    order: row?.leaf || id < 0 ? id : Infinity,
    leaves: 0,
  });
  const items = new Map([[null, { ...item(null, null, null, "", ""), level: 0 }]]);
  DATA.sources.forEach((source, k) => items.set(-1 - k, item(-1 - k, null, null, source.name, "")));
  for (const row of ROWS)
    if (!items.has(row.id))
      items.set(row.id, item(row.id, row.parent < 0 ? null : row.parent, row, row.name, `${row.name}.`));
  for (const one of items.values()) if (one.id !== null) items.get(one.parent).children.push(one);
  const own = [...items.values()];
  for (const one of own) groupByName(items, one, item);
  sumUp(items.get(null));
  // An output of a module under a name of its own holds nothing and is no step of the way.
  for (const one of items.values()) one.children = one.children.filter((child) => !child.row || child.leaves);
  foldBehind(items, items.get(null), item);
  for (const one of [...items.values()]) foldRepeats(items, one, item);
  for (const one of [...items.values()]) groupRuns(items, one, item);
  const deepen = (one) =>
    one.children.forEach((child) => {
      child.level = one.level + 1;
      deepen(child);
    });
  deepen(items.get(null));
  return { items, links: levelLinks(items) };
}

/** Counts leaves, finds the first, and puts children in order of execution. */
function sumUp(one) {
  one.children.forEach(sumUp);
  one.leaves = one.row?.leaf ? 1 : one.children.reduce((sum, child) => sum + child.leaves, 0);
  one.order = Math.min(one.order, ...one.children.map((child) => child.order));
  one.children.sort((a, b) => a.order - b.order);
}

/** Takes children away from a module and gives it a group of them instead. */
function addGroup(items, above, children, item, name, prefix) {
  const last = children.reduce((a, b) => ((b.row?.id ?? -1) > (a.row?.id ?? -1) ? b : a));
  const group = Object.assign(item(1e6 + items.size, above.id, { ...last.row, leaf: false }, name, prefix), {
    group: true,
    children,
  });
  for (const child of children) child.parent = group.id;
  above.children = [...above.children.filter((child) => !children.includes(child)), group];
  items.set(group.id, group);
  return group;
}

/** Layers that share the start of their names though no module of that name has an output: "backbone.fpn". */
function groupByName(items, above, item) {
  const found = new Map();
  for (const child of above.children) {
    const parts = child.name.slice(above.prefix.length).split(".");
    if (!child.row || parts.length < 2) continue;
    if (!found.has(parts[0])) found.set(parts[0], []);
    found.get(parts[0]).push(child);
  }
  for (const [part, children] of found) {
    if (children.length < 2) continue;
    const name = above.prefix + part;
    groupByName(items, addGroup(items, above, children, item, name, `${name}.`), item);
  }
}

/** What stands behind a detector's heads, as one part. */
function foldBehind(items, above, item) {
  const all = (one) => (one.children.length ? one.children.every(all) : Boolean(one.row?.behind));
  const behind = above.children.filter((one) => one.row && all(one));
  if (behind.length < 2) return;
  Object.assign(addGroup(items, above, behind, item, "behind", above.prefix), { behind: true });
  sumUp(above);
}

/** Runs of equal blocks of a module (the same types and shapes, over and over) as one part: "1 … 5, ×5". */
function foldRepeats(items, above, item) {
  const parts = above.children,
    sign = (one) => (one.row ? `${one.row.type} ${one.leaves} ${one.row.shape.join()}` : String(one.id));
  const signs = parts.map(sign);
  if (parts.length < 2 * REPEATS || above.group) return;
  const runs = [];
  for (let i = 0; i < parts.length; ) {
    let best = { size: 1, times: 1 };
    for (let size = 1; size <= PERIOD && i + REPEATS * size <= parts.length; size++) {
      let times = 1;
      while (
        i + (times + 1) * size <= parts.length &&
        signs.slice(i + times * size, i + (times + 1) * size).every((one, k) => one === signs[i + k])
      )
        times++;
      if (times >= REPEATS && times * size > best.times * best.size) best = { size, times };
    }
    // Of single layers only long blocks of several sorts; what is all alike goes into handfuls.
    const run = parts.slice(i, i + best.size * best.times),
      long = run.some((one) => one.children.length) || (run.length >= LEAVES && new Set(signs.slice(i, i + best.size)).size > 1);
    if (best.times >= REPEATS && parts[i].row && long) runs.push({ at: i, ...best });
    i += best.size * best.times;
  }
  const short = (one) => one.name.slice(above.prefix.length);
  for (const { some, times } of runs.map(({ at, size, times }) => ({ some: parts.slice(at, at + size * times), times })))
    Object.assign(addGroup(items, above, some, item, `${short(some[0])} … ${short(some.at(-1))}`, above.prefix), { times });
  sumUp(above);
}

/** Long runs of layers, as they stand in the code of one module, in handfuls: "conv1 … conv50". */
function groupRuns(items, above, item) {
  if (above.children.length <= MANY_PARTS) return;
  let run = [];
  const cut = () => {
    for (; run.length > 12; run = run.slice(GROUP)) {
      const [some, short] = [run.slice(0, GROUP), (child) => child.name.slice(above.prefix.length)];
      sumUp(addGroup(items, above, some, item, `${short(some[0])} … ${short(some.at(-1))}`, above.prefix));
    }
    run = [];
  };
  for (const child of [...above.children]) {
    if (child.row?.leaf) run.push(child);
    else cut();
  }
  cut();
  above.children.sort((a, b) => a.order - b.order);
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

/**
 * {wide, high, boxes}: the layout of what stands in a module, in lines no wider than ``room`` where that can be; open:
 * ids of open modules. Boxes hold their own ones.
 */
function networkLayout(tree, open, room, id = null) {
  const boxes = tree.items.get(id).children.map((item) => {
    const inner =
      item.children.length && open.has(item.id) ? networkLayout(tree, open, room - 2 * PAD.side, item.id) : null;
    return {
      item,
      inner,
      wide: inner ? inner.wide + 2 * PAD.side : BOX.wide,
      high: inner ? inner.high + PAD.top + PAD.bottom : BOX.high,
    };
  });
  const known = new Map(boxes.map((box, order) => [box.item.id, Object.assign(box, { order, before: [] })]));
  const links = tree.links.get(id) ?? [];
  for (const [from, to] of links)
    if (known.get(from).order < known.get(to).order) known.get(to).before.push(known.get(from));
  const columns = intoColumns(boxes, room);
  for (const column of columns) column.forEach((box) => stack(box, column));
  const skips = links.filter(([from, to]) => known.get(to).column - known.get(from).column > 1);
  const lanes = skips.length ? SKIP + LANE * Math.min(LANES, skips.length) : 0;
  let down = 0;
  for (let line = 0; line <= Math.max(0, ...boxes.map((box) => box.line)); line++) {
    const own = boxes.filter((box) => box.line === line);
    const top = Math.min(...(line ? [] : [0]), ...own.map((box) => box.y)) - lanes;
    for (const box of own) [box.y, box.lineTop] = [box.y - top + down, down];
    down = Math.max(0, ...own.map((box) => box.y + box.high)) + LINE_GAP;
  }
  return {
    boxes,
    wide: Math.max(0, ...boxes.map((box) => box.x + box.wide)),
    high: Math.max(0, ...boxes.map((box) => box.y + box.high)),
  };
}

/** Columns by the longest way from the start; sets box.column, box.x, and box.line where they fill more than one. */
function intoColumns(boxes, room) {
  const columns = [];
  for (const box of boxes) {
    box.column = box.before.length ? 1 + Math.max(...box.before.map((other) => other.column)) : 0;
    (columns[box.column] ??= []).push(box);
  }
  let x = 0,
    line = 0;
  for (const column of columns) {
    const wide = Math.max(...column.map((box) => box.wide));
    if (x && x + wide > room) [x, line] = [0, line + 1];
    for (const box of column) [box.x, box.line] = [x + (wide - box.wide) / 2, line];
    x += wide + GAP.x;
  }
  return columns;
}

/** Sets box.y: level with what it comes from, or at the nearest free place of its column. */
function stack(box, column) {
  const from = box.before.filter((other) => other.column === box.column - 1 && other.line === box.line);
  const middles = (from.length ? from : box.before.filter((other) => other.line === box.line)).map((other) => other.y + other.high / 2);
  const wish = (middles.length ? middles.reduce((a, b) => a + b) / middles.length : BOX.high / 2) - box.high / 2;
  const placed = column.filter((other) => other !== box && other.y != null);
  const free = (y) => placed.every((other) => y + box.high + GAP.y <= other.y || y >= other.y + other.high + GAP.y);
  const places = [
    wish,
    ...placed.flatMap((other) => [other.y + other.high + GAP.y, other.y - box.high - GAP.y]),
  ].filter(free);
  box.y = places.sort((a, b) => Math.abs(a - wish) - Math.abs(b - wish) || b - a)[0];
}

/** All boxes from outside in, with their places on the whole drawing: [{item, x, y, wide, high, open}]. */
function flatBoxes(layout, x = 0, y = 0) {
  return layout.boxes.flatMap((box) => [
    { item: box.item, x: x + box.x, y: y + box.y, lineTop: y + box.lineTop, wide: box.wide, high: box.high, open: Boolean(box.inner) },
    ...(box.inner ? flatBoxes(box.inner, x + box.x + PAD.side, y + box.y + PAD.top) : []),
  ]);
}

/** Links between boxes that are drawn closed: [{from, to, path}], each once. */
function drawnLinks(tree, boxes) {
  const known = new Map(boxes.map((box) => [box.item.id, box]));
  const shown = (id) => pathTo(tree.items, id).find((at) => known.has(at) && !known.get(at).open);
  const found = new Map();
  for (const link of DATA.links) {
    if (!tree.items.has(link[0]) || !tree.items.has(link[1])) continue;
    const [from, to] = link.map(shown);
    if (from != null && to != null && from !== to)
      found.set(`${from} ${to}`, { from, to, a: known.get(from), b: known.get(to) });
  }
  const closed = boxes.filter((box) => !box.open),
    links = [...found.values()];
  for (const link of links) link.over = standsBetween(link.a, link.b, closed);
  intoLanes(links.filter((link) => link.over.length));
  return links.map((link) => ({ from: link.from, to: link.to, path: linkPath(link) }));
}

/** The boxes that a straight link would run through, with all others above them in the same columns. */
function standsBetween(a, b, closed) {
  if (b.x < a.x + a.wide) return [];
  const low = Math.min(a.y, b.y) + BOX.high / 2 - 6,
    high = Math.max(a.y, b.y) + BOX.high / 2 + 6;
  const between = closed.filter((box) => box.x >= a.x + a.wide && box.x + box.wide <= b.x && box.y < high);
  return between.some((box) => box.y + box.high > low) ? between : [];
}

/** Links over boxes get lanes, short ones the lowest, so that none lies on another. */
function intoLanes(links) {
  const placed = [];
  for (const link of links.sort((one, two) => one.b.x - one.a.x - (two.b.x - two.a.x))) {
    const beside = placed.filter((other) => other.a.x < link.b.x && link.a.x < other.b.x).map((other) => other.lane);
    link.lane = Math.min(LANES, 1 + Math.max(-1, ...beside));
    placed.push(link);
  }
}

/** A curve from box to box, over those that stand in between. */
function linkPath({ a, b, over, lane }) {
  const [x1, y1, x2, y2] = [a.x + a.wide, a.y + a.high / 2, b.x, b.y + b.high / 2];
  if (x2 < x1) return `M${x1},${y1}h14V${b.lineTop - LINE_GAP / 2}H${x2 - 16}V${y2}H${x2}`;
  const bend = Math.max(18, Math.min(46, Math.abs(x2 - x1) / 2));
  if (!over.length) return `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
  const y = Math.min(...over.map((box) => box.y), a.y, b.y) - SKIP - LANE * lane;
  const up = `C${x1 + 26},${y1} ${x1 + 4},${y} ${x1 + 40},${y}`;
  return `M${x1},${y1}${up}L${x2 - 40},${y}C${x2 - 4},${y} ${x2 - 26},${y2} ${x2},${y2}`;
}

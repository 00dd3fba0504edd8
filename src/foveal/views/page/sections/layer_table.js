// All layers: sorted, filtered, and only the rows in view are on the page.

const ROW_HIGH = 34,
  ROWS_SPARE = 12;
const sorting = { column: -1, down: true };
const wanted = { text: "", modules: true, behind: false };
let tableRows = [],
  printing = false;

function startLayerTable() {
  const draw = () => {
    drawTableTools();
    drawTable();
  };
  byId("layer-table").addEventListener("scroll", eachFrame(drawTableBody));
  new ResizeObserver(eachFrame(drawTableBody)).observe(byId("layer-table"));
  state.onSelect(() => {
    drawTable();
    showTableRow();
  });
  onLanguage.push(draw);
  addEventListener("beforeprint", () => {
    printing = true;
    drawTableBody();
  });
  addEventListener("afterprint", () => {
    printing = false;
    drawTableBody();
  });
  draw();
}

function drawTableTools() {
  const input = el("input", {
    type: "search",
    id: "filter",
    placeholder: t("filter_hint"),
    value: wanted.text,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": t("filter"),
    on: {
      input: (event) => {
        wanted.text = event.target.value;
        drawTable();
      },
    },
  });
  const box = (key) =>
    el(
      "label.check",
      {},
      el("input", {
        type: "checkbox",
        id: key,
        checked: wanted[key],
        on: {
          change: (event) => {
            wanted[key] = event.target.checked;
            drawTable();
          },
        },
      }),
      t(key),
    );
  byId("layer-tools").replaceChildren(
    input,
    box("modules"),
    ROWS.some((row) => row.behind) ? box("behind") : "",
  );
}

/** What a column sorts by: a number or a text. */
function sortValue(row, column) {
  const product = (values) => (values ?? []).reduce((a, b) => a * b, 1);
  const own = {
    RF: () => product(row.size),
    "local RF": () => product(row.local),
    stride: () => product(row.stride),
    covered: () => row.covered,
    params: () => row.parameters,
    "mult-adds": () => row.adds,
    output: () => product(row.shape),
  }[DATA.columns[column]];
  const text = row.cells[column];
  if (own) return text ? (own() ?? -1) : -1;
  return ["start", "offset", "phases"].includes(DATA.columns[column]) ? parseFloat(text) || 0 : text;
}

function drawTable() {
  const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
  tableRows = ROWS.filter(
    (row) =>
      (wanted.modules || row.leaf) &&
      (wanted.behind || !row.behind) && words.every((word) => row.cells.join(" ").toLowerCase().includes(word)),
  );
  if (sorting.column >= 0) {
    const keys = new Map(tableRows.map((row) => [row, sortValue(row, sorting.column)]));
    const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
    tableRows.sort((a, b) => (sorting.down ? -1 : 1) * order(keys.get(a), keys.get(b)));
  }
  const numeric = DATA.columns.map((name) => !["layer", "source", "type", "output", "status"].includes(name));
  const heads = DATA.columns.map((name, i) =>
    el(
      `th.${columnClass(name)}${numeric[i] ? ".right" : ""}`,
      { scope: "col", "aria-sort": sorting.column === i ? (sorting.down ? "descending" : "ascending") : null },
      el(
        "button.head-sort",
        { type: "button", "data-column": i, on: { click: () => sortBy(i) } },
        t(`col_${name}`),
        el("span.arrow", { "aria-hidden": "true" }, sorting.column === i ? (sorting.down ? "↓" : "↑") : ""),
      ),
    ),
  );
  const had = document.activeElement?.dataset?.column;
  byId("layer-table").replaceChildren(
    el(
      "table",
      { "aria-labelledby": "h-layers", "aria-rowcount": tableRows.length + 1 },
      el("thead", {}, el("tr", {}, ...heads)),
      el("tbody", { id: "layer-rows", on: { keydown: tableKey } }),
    ),
  );
  byId("layer-count").textContent = tableRows.length
    ? t("shown", { count: number(tableRows.length), total: number(ROWS.length) })
    : t("no_rows");
  drawTableBody();
  if (had != null) byId("layer-table").querySelector(`[data-column='${had}']`)?.focus();
}

/** Numbers fall first, names rise first; a third click goes back to the order of execution. */
function sortBy(column) {
  const first = typeof sortValue(ROWS[0], column) === "number";
  if (sorting.column !== column) Object.assign(sorting, { column, down: first });
  else if (sorting.down === first) sorting.down = !first;
  else sorting.column = -1;
  drawTable();
}

/** The rows in view, with space where the others would be. */
function drawTableBody() {
  const box = byId("layer-table"),
    body = byId("layer-rows");
  const from = printing ? 0 : Math.max(0, Math.floor(box.scrollTop / ROW_HIGH) - ROWS_SPARE);
  const to = printing
    ? tableRows.length
    : Math.min(tableRows.length, from + Math.ceil(box.clientHeight / ROW_HIGH) + 2 * ROWS_SPARE);
  const most = Math.max(1, ...ROWS.map((row) => largest(row.size)));
  const had = body.contains(document.activeElement);
  const space = (count) =>
    count ? [el("tr.space", { "aria-hidden": "true" }, el("td", { colspan: DATA.columns.length }))] : [];
  const rows = tableRows.slice(from, to).map((row, i) => tableRow(row, from + i, most));
  body.replaceChildren(...space(from), ...rows, ...space(tableRows.length - to));
  if (from) body.firstChild.firstChild.style.height = `${from * ROW_HIGH}px`;
  if (to < tableRows.length) body.lastChild.firstChild.style.height = `${(tableRows.length - to) * ROW_HIGH}px`;
  if (!rows.some((node) => node.tabIndex === 0) && rows.length) rows[0].tabIndex = 0;
  if (had) body.querySelector("tr[tabindex='0']")?.focus({ preventScroll: true });
}

function tableRow(row, at, most) {
  const chosen = row === state.row;
  const node = el(
    row.leaf ? "tr" : "tr.dim",
    {
      tabindex: chosen ? 0 : -1,
      "aria-current": chosen ? "true" : null,
      "aria-rowindex": at + 2,
      "data-layer": row.id,
      "data-source": sourceOf(row),
      on: { click: () => state.select(row.id, sourceOf(row)) },
    },
    ...row.cells.map((text, i) => tableCell(row, DATA.columns[i], text, most)),
  );
  if (sorting.column < 0) node.firstChild.style.paddingLeft = `${20 + 14 * (row.name.split(".").length - 1)}px`;
  return node;
}

/** The class by which the style sheet leaves columns out on small screens. */
const columnClass = (name) => `c-${name.toLowerCase().replace(/\W+/g, "-")}`;

function tableCell(row, column, text, most) {
  if (column === "layer") return el("th", { scope: "row", title: text }, text);
  if (column === "type") return el("td.soft.c-type", {}, text);
  if (column === "output") return el("td.mono.c-output", {}, text);
  if (column === "status")
    return el(
      "td",
      {},
      el(
        `span.badge.${row.status}`,
        { title: row.causes.join("\n") || null },
        hasText(`status_${text}`) ? t(`status_${text}`) : text,
      ),
    );
  if (column !== "RF") return el(`td.right.${columnClass(column)}`, {}, text);
  const fill = el("i");
  fill.style.width = `${Math.max(1, (100 * largest(row.size)) / most)}%`;
  return el("td.right.rf", {}, el("span.meter", { "aria-hidden": "true" }, fill), el("b", {}, text));
}

function tableKey(event) {
  const row = event.target.closest("tr[data-layer]");
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -tableRows.length, End: tableRows.length }[
    event.key
  ];
  if (!row || !step) return;
  event.preventDefault();
  const at = tableRows.findIndex(
    (r) => r.id === Number(row.dataset.layer) && sourceOf(r) === Number(row.dataset.source),
  );
  const next = tableRows[Math.max(0, Math.min(tableRows.length - 1, at + step))];
  state.select(next.id, sourceOf(next));
  byId("layer-rows").querySelector("tr[tabindex='0']")?.focus({ preventScroll: true });
}

/** Bring the chosen row into view, inside the table only. */
function showTableRow() {
  const box = byId("layer-table"),
    at = tableRows.indexOf(state.row),
    head = ROW_HIGH;
  if (at < 0) return;
  const had = byId("layer-rows").contains(document.activeElement);
  const top = at * ROW_HIGH;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW_HIGH + head > box.scrollTop + box.clientHeight)
    box.scrollTop = top + ROW_HIGH + head - box.clientHeight;
  drawTableBody();
  if (had) byId("layer-rows").querySelector("tr[tabindex='0']")?.focus({ preventScroll: true });
}

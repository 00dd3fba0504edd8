// All layers in a table; the chosen one is drawn above.

let tableOf = null;

function drawLayers(net, chosen, choose) {
  if (tableOf?.layers === net.layers && tableOf.language === language) return markLayer(chosen);
  tableOf = { layers: net.layers, language };
  const heads = ["layer", "type", "output", "rf", "stride_long", "position", "parameters", "adds"];
  const most = Math.max(1, ...net.layers.map((row) => (row.size ? largest(row.size) : 0)));
  const mostAdds = Math.max(1, ...net.layers.filter((row) => row.leaf).map((row) => row.adds ?? 0));
  const body = net.layers.map((row) => layerRow(row, row.name === chosen, most, mostAdds, choose));
  if (body.length && !net.layers.some((row) => row.name === chosen)) body[0].tabIndex = 0;
  const had = byId("layers").contains(document.activeElement);
  const top = byId("layers").scrollTop;
  byId("layers").replaceChildren(el("table", { "aria-labelledby": "h-layers" },
    el("thead", {}, el("tr", {}, ...heads.map((key) => el(heads.indexOf(key) > 2 ? "th.right" : "th", { scope: "col" }, t(key))))),
    el("tbody", {}, ...body)));
  byId("layers").scrollTop = top;
  if (had) byId("layers").querySelector("tr[tabindex='0']")?.focus();
}

/** Choose another row of the table as it stands. */
function markLayer(chosen) {
  const table = byId("layers"), had = table.contains(document.activeElement);
  for (const row of table.querySelectorAll("tr[aria-selected='true']")) {
    row.setAttribute("aria-selected", "false");
    row.tabIndex = -1;
  }
  const row = [...table.querySelectorAll("tbody tr")].find((one) => one.dataset.layer === chosen);
  if (!row) return;
  row.setAttribute("aria-selected", "true");
  row.tabIndex = 0;
  if (had) row.focus();
}

function layerRow(row, isChosen, most, mostAdds, choose) {
  const depth = row.name.split(".").length - 1;
  const mark = { bound: "≤ ", "data-dependent": "~ " }[row.status] ?? "";
  const node = el(row.leaf ? "tr" : "tr.dim", { tabindex: isChosen ? 0 : -1, "aria-selected": String(isChosen), "data-layer": row.name,
    on: { click: () => choose(row.name), keydown: (event) => step(event, choose) } },
    el("th", { scope: "row" }, row.name),
    el("td.soft", {}, row.type),
    el("td.mono", {}, row.shape.join("×")),
    el("td.right.rf", {}, meter(row.size ? largest(row.size) / most : 0, "theoretical"), el("b", {}, row.size ? mark + axesText(row.size) : t("unavailable")),
      row.local ? el("small", {}, ` ${t("local", { size: axesText(row.local) })}`) : null),
    el("td.right", {}, axesText(row.stride)),
    el("td.right.soft", {}, axesText(row.start)),
    el("td.right", {}, row.parameters ? short(row.parameters) : ""),
    el("td.right.rf", {}, row.leaf && row.adds ? meter(row.adds / mostAdds, "cost") : null, row.adds ? short(row.adds) : ""));
  node.firstChild.style.paddingLeft = `${12 + 14 * depth}px`;
  return node;
}

function meter(share, sort) {
  const fill = el(`i.${sort}`);
  fill.style.width = `${Math.max(1, 100 * share)}%`;
  return el("span.meter", { "aria-hidden": "true" }, fill);
}

function step(event, choose) {
  const row = event.currentTarget;
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling,
    Home: row.parentElement.firstElementChild, End: row.parentElement.lastElementChild }[event.key];
  if (!next) return;
  event.preventDefault();
  choose(next.dataset.layer);
}

// The few numbers that one looks at first: of the chosen layer, and of the whole network.

/** What a position of the network's source is called. */
const unitOf = (net) => t(["", "unit_samples", "unit_px", "unit_voxels"][net.lengths.length] || "unit_positions");

function drawNumbers(net, row, grown) {
  const at = t("at_layer", { layer: row.name });
  const erf = grown?.[row.name]?.erf;
  const unit = unitOf(net);
  const mark = { bound: "≤ ", "data-dependent": "~ " }[row.status] ?? "";
  const tiles = [
    ["rf", row.size ? mark + axesText(row.size) : t("unavailable"), unit, at, "lead"],
    ["erf", erf == null ? "–" : erf.toFixed(erf < 100 ? 1 : 0), unit, t("erf_note"), "effective"],
    ["stride_long", axesText(row.stride), "", at, ""],
    ["covered", row.covered == null ? "–" : `${(100 * row.covered).toPrecision(3).replace(/\.0+$/, "")} %`, "", at, ""],
    ["output", row.shape.join(" × "), "", at, ""],
    ["parameters", short(net.parameters), "", t("in_all"), ""],
    ["adds", (net.adds_status === "bound" ? "≥ " : "") + short(net.adds), "", t("in_all"), ""],
  ];
  byId("tiles").replaceChildren(...tiles.map(([key, value, unit, note, sort]) => el(
    `div.tile${sort ? `.${sort}` : ""}`, { id: `tile-${key}` },
    el("dt", {}, t(key)),
    el("dd", {}, el("span.value", {}, value), unit ? el("span.unit", {}, ` ${unit}`) : null, el("span.note", {}, note)),
  )));
}

function drawFindings(net) {
  const causes = [...new Set(net.layers.flatMap((row) => row.causes))].slice(0, 3);
  const said = net.findings.map((f) => [f.severity, f.layer ? `${f.layer}: ${f.text}` : f.text]);
  if (causes.length) said.push(["info", t("bound", { causes: causes.join(", ") })]);
  byId("notes").replaceChildren(...said.slice(0, 6).map(([severity, text]) => el(`p.note.${severity}`, {}, text)));
}

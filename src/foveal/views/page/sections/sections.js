// The parts that only tell: summary, findings, provenance.

function startSections() {
  const draw = () => {
    drawSummary();
    drawFindings();
    drawProvenance();
  };
  onLanguage.push(draw);
  draw();
}

function drawSummary() {
  const row = firstRow(),
    source = DATA.sources[row ? sourceOf(row) : 0],
    totals = DATA.totals;
  const input = source.lengths.length ? source.lengths.map(number).join(" × ") : source.shape.join(" × ");
  byId("lead").textContent = row ? summaryText(row, source, input) : t("no_layers");
  const erf = row && growthErf(row),
    at = row && t("at_layer", { layer: row.name });
  const least = totals.adds_status === "bound" ? `${t("at_least")} ` : "";
  const tiles = [
    row && ["rf", statusMark(row.status) + axesText(row.size), t("unit_px"), at, "lead"],
    erf != null &&
      row && ["erf", erf.toFixed(erf < 100 ? 1 : 0), t("unit_px"), t("erf_note", { layer: row.name }), "effective"],
    row && ["stride", axesText(row.stride), "", at, ""],
    ["input", input, "", source.axes.join(" × "), ""],
    ["layers", number(totals.layers), "", t("operations", { count: number(totals.operations) }), ""],
    ["parameters", short(totals.parameters), "", "", ""],
    ["adds", least + short(totals.multiply_adds), "", "", ""],
    ["findings", number(DATA.findings.length), "", findingsNote(), ""],
  ];
  byId("tiles").replaceChildren(
    ...tiles
      .filter(Boolean)
      .map(([key, value, unit, note, sort]) =>
        el(
          sort ? `div.tile.${sort}` : "div.tile",
          { id: `tile-${key}` },
          el("dt", {}, t(`tile_${key}`)),
          el(
            "dd",
            {},
            el("span.value", {}, value),
            unit ? el("span.unit", {}, ` ${unit}`) : null,
            note ? el("span.note", {}, note) : null,
          ),
        ),
      ),
  );
}

function summaryText(row, source, input) {
  const local = row.local ? ` ${t("lead_local", { size: row.local.map(number).join(" × ") })}` : "";
  const beyond = row.size.some((n, i) => n > source.lengths[i]);
  const key = beyond ? "lead_wide" : row.size.every((n, i) => n === source.lengths[i]) ? "lead_all" : "lead";
  return t(key, { layer: row.name, size: row.size.map(number).join(" × "), input }) + local;
}

function findingsNote() {
  const counts = ["error", "warning", "info"].map((s) => [s, DATA.findings.filter((f) => f.severity === s).length]);
  return counts
    .filter(([, n]) => n)
    .map(([s, n]) => `${n} ${t(`severity_${s}`)}`)
    .join(", ");
}

function drawFindings() {
  const order = ["error", "warning", "info"];
  const sorted = [...DATA.findings].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  byId("findings").replaceChildren(
    ...(sorted.length ? [el("ul.notes", {}, ...sorted.map(findingNode))] : [el("p.hint", {}, t("none_found"))]),
  );
}

function findingNode(finding) {
  const row = ROWS.find((r) => r.name === finding.layer);
  const show = () => {
    state.select(row.id, sourceOf(row));
    byId("s-explorer").scrollIntoView();
    byId("h-explorer").focus({ preventScroll: true });
  };
  return el(
    `li.note.${finding.severity}`,
    {},
    el(
      "p.note-head",
      {},
      el("strong", {}, t(`severity_${finding.severity}`)),
      el("code", {}, finding.code),
      row
        ? el(
            "button.quiet.mono",
            { type: "button", "aria-label": t("show_layer", { layer: finding.layer }), on: { click: show } },
            finding.layer,
          )
        : finding.layer
          ? el("span.mono", {}, finding.layer)
          : null,
    ),
    el("p", {}, finding.text),
    finding.change ? el("p.change", {}, el("span", {}, t("change")), ` ${finding.change}`) : null,
    finding.effect ? el("p.change", {}, el("span", {}, t("effect")), ` ${finding.effect}`) : null,
  );
}

function drawProvenance() {
  const known = DATA.provenance;
  const facts = [
    ["network", known.network],
    ["command", known.command, "mono"],
    ["image", known.image_sha256, "mono"],
    [
      "versions",
      Object.entries(known.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(" · "),
    ],
    ["schema", t("prov_schema_text", { version: DATA.schema })],
  ];
  byId("provenance").replaceChildren(
    ...facts
      .filter(([, text]) => text)
      .flatMap(([key, text, sort]) => [el("dt", {}, t(`prov_${key}`)), el(sort ? `dd.${sort}` : "dd", {}, text)]),
  );
}

// The parts that only tell: summary, findings, provenance.

function startSections() {
  const draw = () => {
    drawSummary();
    drawLevels();
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
    packed = row && growthField(row),
    unit = unitName(source),
    at = row && t("at_layer", { layer: row.name });
  const least = totals.adds_status === "bound" ? `${t("at_least")} ` : "";
  const tiles = [
    row && ["rf", statusMark(row.status) + rangeText(row), unit + measured(source, row.size), at, "lead"],
    erf != null &&
      row && [
        "erf",
        erf.toFixed(erf < 100 ? 1 : 0),
        unit,
        [
          packed.side_90 == null ? "" : t("side_90_note", { side: number(packed.side_90), unit }),
          packed.at_border ? t("erf_border") : "",
          t("erf_note", { layer: row.name }),
        ].join(" "),
        "effective",
      ],
    row && ["stride", axesText(row.stride), "", at, ""],
    ["input", input, "", source.axes.join(" × "), ""],
    ["layers", number(totals.layers), "", counted("operations", totals.operations), ""],
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
  if (!row.size?.length || row.size.some((n) => n == null)) return t("lead_withheld", { layer: row.name, input });
  const local = row.local ? ` ${t("lead_local", { size: row.local.map(number).join(" × ") })}` : "";
  const beyond = row.size.some((n, i) => n > source.lengths[i]);
  if (DATA.levels?.length) {
    const sides = DATA.levels.map((level) => level.object).filter((side) => side != null);
    return t(sides.length ? "lead_levels" : "lead_levels_only", {
      count: DATA.levels.length,
      from: number(Math.round(Math.min(...sides))),
      to: number(Math.round(Math.max(...sides))),
      input,
    });
  }
  const key = beyond ? "lead_wide" : row.size.every((n, i) => n === source.lengths[i]) ? "lead_all" : "lead";
  return t(key, { layer: row.name, size: row.size.map(number).join(" × "), input }) + local;
}

/** "1 layer", "2 layers". */
const counted = (key, count) => t(count === 1 ? `${key}_one` : key, { count: number(count) });

function findingsNote() {
  const counts = ["error", "warning", "info"].map((s) => [s, DATA.findings.filter((f) => f.severity === s).length]);
  return counts
    .filter(([, n]) => n)
    .map(([s, n]) => `${n} ${t(n === 1 ? `severity_${s}` : `severities_${s}`)}`)
    .join(", ");
}

/** A detector's levels, a row each; a press looks at the level. */
function drawLevels() {
  const heads = ["layer", "stride", "field", "effective", "object"];
  const rows = (DATA.levels ?? []).map((level) => {
    const row = ROWS.find((other) => other.name === level.layer);
    const look = el(
      "button.quiet.mono",
      { type: "button", title: t("show_layer", { layer: level.layer }), on: { click: () => lookAt(row) } },
      level.map || level.layer,
    );
    const cells = [
      axesText(level.stride),
      level.field ? statusMark(level.status) + rangeText({ sizes: level.field }) : t("x_withheld"),
      level.effective == null ? "–" : (level.capped ? "≤ " : "") + number(Math.round(level.effective)),
      level.object == null ? "–" : t("about_px", { side: number(Math.round(level.object)) }),
    ];
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, row ? look : level.layer, el("span.soft", {}, ` ${level.grid.join(" × ")}`)),
      ...cells.map((text) => el("td.right", {}, text)),
    );
  });
  byId("levels").hidden = !rows.length;
  byId("levels").replaceChildren(
    el(
      "table",
      {},
      el("caption", {}, t("levels_about")),
      el("thead", {}, el("tr", {}, ...heads.map((key, i) => el(i ? "th.right" : "th", { scope: "col" }, t(`level_${key}`))))),
      el("tbody", {}, ...rows),
    ),
  );
}

/** Look at a layer in the explorer. */
function lookAt(row) {
  state.select(row.id, sourceOf(row));
  byId("s-explorer").scrollIntoView();
  byId("h-explorer").focus({ preventScroll: true });
}

/** Findings of one code together: a sentence in plain words, and on demand where and how much. */
function drawFindings() {
  const order = ["error", "warning", "info"];
  const groups = new Map();
  for (const finding of DATA.findings) {
    if (!groups.has(finding.code)) groups.set(finding.code, []);
    groups.get(finding.code).push(finding);
  }
  for (const group of groups.values()) group.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  const sorted = [...groups.values()].sort((a, b) => order.indexOf(a[0].severity) - order.indexOf(b[0].severity));
  byId("findings").replaceChildren(
    ...(sorted.length ? [el("ul.notes", {}, ...sorted.map(findingGroup))] : [el("p.hint", {}, t("none_found"))]),
  );
}

function findingGroup(group) {
  const [{ code, severity }] = group,
    known = hasText(`plain_${code}`);
  return el(
    `li.note.${severity}`,
    {},
    el(
      "p.note-head",
      {},
      el("strong", {}, t(`severity_${severity}`)),
      el("code", {}, code),
      group.length > 1 ? el("span", {}, t("places_found", { count: group.length })) : null,
    ),
    known ? el("p", {}, t(`plain_${code}`)) : null,
    known || group.length > 1
      ? el("details", {}, el("summary", {}, t("details")), ...group.map(findingNode))
      : findingNode(group[0]),
  );
}

function findingNode(finding) {
  const row = ROWS.find((r) => r.name === finding.layer),
    told = (key) => (language === "zh-CN" && finding.chinese?.[key]) || finding[key];
  return el(
    "div.finding",
    {},
    row
      ? el(
          "button.quiet.mono",
          { type: "button", "aria-label": t("show_layer", { layer: finding.layer }), on: { click: () => lookAt(row) } },
          finding.layer,
        )
      : finding.layer
        ? el("span.mono", {}, finding.layer)
        : null,
    el("p", {}, told("text")),
    finding.change ? el("p.change", {}, el("span", {}, t("change")), ` ${told("change")}`) : null,
    finding.effect ? el("p.change", {}, el("span", {}, t("effect")), ` ${told("effect")}`) : null,
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

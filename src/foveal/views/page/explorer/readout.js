// The explorer's controls and texts: what the unit that is looked at sees, in words and numbers.

function explorerParts() {
  const stage = makeStage(explorerProbe, explorerSlice),
    grid = makeGrid(explorerChoose, explorerHold),
    surface = makeSurface();
  const canvas = el("canvas", { id: "x-eye", role: "img" });
  const slider = el("input", {
    type: "range",
    id: "x-slice",
    min: "0",
    on: { input: () => explorerSlice(Number(slider.value)) },
  });
  const layer = el("select", { id: "x-layer", on: { change: () => state.select(Number(layer.value)) } });
  const source = el("select", { id: "x-source", on: { change: () => explorerSource(Number(source.value)) } });
  const parts = {
    stage,
    grid,
    surface,
    canvas,
    slider,
    layer,
    source,
    kinds: el("div.x-slot"),
    views: el("div.x-slot"),
    leads: el("div.x-leads"),
    legend: el("p.legend"),
    note: el("p.hint.x-note"),
    about: el("p.hint"),
    numbers: el("dl.x-numbers"),
    live: el("p.hidden", { role: "status", "aria-live": "polite", id: "x-live" }),
    zoom: el("div.choice", { role: "group", id: "x-zoom" }),
    pixel: el("p.x-pixel", { id: "x-pixel" }),
  };
  parts.sliceAt = el("output", { id: "x-slice-at" });
  parts.sliceBox = el("label.x-slider", {}, el("span", { "data-t": "x_slice" }), slider, parts.sliceAt);
  parts.sourceBox = el("label", {}, el("span", { "data-t": "x_source" }), source);
  parts.surfaceBox = el("section.x-panel", {}, el("h3", {}), surface.node, el("p.hint", {}));
  parts.eyeBox = el(
    "section.x-panel",
    {},
    el("h3", { "data-t": "x_eye" }),
    canvas,
    el("p.hint", { "data-t": "x_eye_hint" }),
  );
  parts.gridBox = el(
    "section.x-panel",
    {},
    el("h3", { "data-t": "x_map" }),
    grid.node,
    parts.leads,
    el("p.hint", { "data-t": "x_map_hint" }),
  );
  const bar = el(
    "div.x-bar",
    {},
    el("label.x-layer", {}, el("span", { "data-t": "x_layer" }), layer),
    parts.sourceBox,
    parts.kinds,
    parts.views,
  );
  const picture = el(
    "div.x-see",
    {},
    stage.node,
    parts.sliceBox,
    el("div.x-under", {}, parts.legend, parts.zoom),
    parts.note,
    parts.pixel,
  );
  const side = el("div.x-side", {}, parts.gridBox, parts.numbers);
  parts.node = el(
    "div.x-all",
    {},
    bar,
    parts.about,
    el("div.x-main", {}, picture, side, el("div.x-views", {}, parts.eyeBox, parts.surfaceBox)),
    parts.live,
    typeof exportButtons === "function"
      ? el(
          "div.x-export",
          {},
          exportButtons("explorer", () => stage.picture),
        )
      : null,
  );
  return parts;
}

/** Look at the same layer under another source, or at the first one that depends on it. */
function explorerSource(number) {
  const row = rowOf(state.row.id, number) ?? rowsOf(number).find((r) => r.tables) ?? rowsOf(number)[0];
  if (row) state.select(row.id, number);
}

/** Everything that changes with the layer, the kind of field or the language, but not with the unit. */
function explorerTexts() {
  const { parts } = explorer,
    { row } = state;
  const number = state.source;
  translate(parts.node);
  if (parts.layer.dataset.of !== `${number} ${language}`) {
    const [before, behind] = [false, true].map((is) => rowsOf(number).filter((r) => Boolean(r.behind) === is));
    const options = (rows) => rows.map((r) => el("option", { value: r.id }, layerOption(r)));
    parts.layer.replaceChildren(
      ...options(before),
      ...(behind.length ? [el("optgroup", { label: t("behind") }, ...options(behind))] : []),
    );
    parts.layer.dataset.of = `${number} ${language}`;
  }
  parts.layer.value = String(row.id);
  parts.source.replaceChildren(...DATA.sources.map((s, k) => el("option", { value: k }, s.name)));
  parts.source.value = String(number);
  parts.sourceBox.hidden = DATA.sources.length < 2;
  const carried = askField ? DATA.kinds : DATA.kinds.filter((kind) => kindsOf(row).includes(kind) || whyMissing(row, kind));
  const kinds = [
    ...carried.map((kind) => [kind, hasText(`x_kind_${kind}`) ? t(`x_kind_${kind}`) : kind]),
    ["", t("x_kind_none")],
  ];
  parts.kinds.replaceChildren(...(carried.length ? [choice(t("x_field"), kinds, explorer.kind, explorerKind)] : []));
  const modes = ["input", "outside", "near"].map((mode) => [mode, t(`x_view_${mode}`)]);
  parts.views.replaceChildren(
    choice(t("x_view"), modes, parts.stage.mode, (mode) => {
      parts.stage.setMode(mode);
      explorerTexts();
    }),
  );
  const about = carried.includes(explorer.kind) && hasText(`x_about_${explorer.kind}`);
  parts.about.textContent = about ? t(`x_about_${explorer.kind}`) : "";
  parts.zoom.setAttribute("aria-label", t("x_zoom"));
  parts.zoom.replaceChildren(
    ...[
      ["+", "x_zoom_in", STAGE_ZOOM],
      ["−", "x_zoom_out", 1 / STAGE_ZOOM],
    ].map(([sign, key, factor]) =>
      el(
        "button",
        {
          type: "button",
          "aria-label": t(key),
          title: t(key),
          on: { click: () => parts.stage.axes && parts.stage.zoom(factor) },
        },
        sign,
      ),
    ),
  );
  const lengths = parts.stage.lengths.join(" × ");
  parts.stage.node.setAttribute("aria-label", t("x_stage_label", { input: lengths }));
  parts.grid.node.setAttribute("aria-label", t("x_grid_label", { layer: row.name, grid: row.grid.join(" × ") || "1" }));
  parts.surface.node.setAttribute("aria-label", t("x_surface_label", { layer: row.name }));
  parts.canvas.setAttribute("aria-label", t("x_eye_label", { layer: row.name }));
  parts.stage.node.hidden = !parts.stage.axes;
  parts.sliceBox.hidden = parts.stage.axes?.depth == null;
  parts.slider.max = String((parts.stage.lengths[0] ?? 1) - 1);
  const [flat, [head], [hint]] = [
    parts.stage.axes?.y == null,
    parts.surfaceBox.getElementsByTagName("h3"),
    parts.surfaceBox.getElementsByTagName("p"),
  ];
  head.textContent = t(flat ? "x_curve" : "x_surface");
  hint.textContent = flat ? "" : t("x_surface_hint");
  explorerLegend();
  explorerLeads();
}

/** "layer4 · 427 ●": the name, the size, and a dot where the page carries fields. */
function layerOption(row) {
  const size = row.size ? axesText(row.size) : row.tables ? axesText(row.clipped) : "–";
  return `${row.name} · ${statusMark(row.status)}${size}${kindsOf(row).length ? " ●" : ""}`;
}

function explorerLegend() {
  const { legend, stage } = explorer.parts;
  const key = (name, text) => el(`span.x-key.${name}`, {}, text);
  legend.replaceChildren(
    key("x-key-clipped", t("x_clipped")),
    key("x-key-unclipped", t("x_unclipped")),
    ...(hasLocal(state.row) ? [key("x-key-local", t("x_local"))] : []),
    ...(stage.axes ? [key("x-key-centre", t("x_centre"))] : []),
    ...(explorer.view?.field ? [key("x-key-heat", t("x_weight"))] : []),
  );
}

/** One slider for each axis of the unit grid that the map does not show. */
function explorerLeads() {
  const { leads, grid } = explorer.parts;
  leads.replaceChildren(
    ...grid.layout.lead.map((n, axis) =>
      el(
        "label.x-slider",
        {},
        el("span", {}, t("x_lead", { axis: axis + 1 })),
        el("input", {
          type: "range",
          min: "0",
          max: String(n - 1),
          value: String(explorer.unit[axis]),
          on: {
            input: (event) => {
              explorerChoose(
                explorer.unit.map((index, i) => (i === axis ? Number(event.target.value) : index)),
                true,
              );
            },
          },
        }),
      ),
    ),
  );
}

/** "0 – 223" for a side of a box, both inside it. */
const sideText = (side) => (side ? `${number(side[0])}\u00a0–\u00a0${number(side[1])}` : "–");
const lengthsText = (box) => (box?.every(Boolean) ? box.map((side) => number(side[1] - side[0] + 1)).join(" × ") : "–");

/** The numbers of the unit that is looked at; spoken once the pointer rests. */
function explorerRead(view) {
  const { parts } = explorer,
    { row } = state;
  const axes = DATA.sources[state.source]?.axes ?? [];
  const unit = unitText(row, view.unit);
  const sides = (box) => (box ? box.map((side, i) => `${axes[i]}\u00a0${sideText(side)}`).join("  ") : t("x_unknown"));
  const nothing = view.clipped && !view.clipped.every(Boolean);
  const lines = [
    ["unit", t("x_unit"), unit, row.name],
    [
      "clipped",
      t("x_clipped"),
      nothing ? t("x_nothing") : statusMark(row.status) + lengthsText(view.clipped),
      nothing || !view.clipped ? (row.tables ? "" : t("x_unknown")) : sides(view.clipped),
    ],
    [
      "unclipped",
      t("x_unclipped"),
      nothing
        ? "–"
        : view.unclipped?.every(Boolean)
          ? statusMark(row.status) + lengthsText(view.unclipped)
          : t("x_withheld"),
      view.unclipped?.every(Boolean) ? sides(view.unclipped) : "",
    ],
    ...(view.local ? [["local", t("x_local"), lengthsText(view.local), sides(view.local)]] : []),
    [
      "centre",
      t("x_centre"),
      view.centre?.every((c) => c != null) ? `(${view.centre.map(number).join(", ")})` : "–",
      "",
    ],
    ...(explorer.field?.erf != null && !view.moved
      ? [
          ["erf", t("x_erf"), number(explorer.field.erf), t("x_erf_note")],
          ["side_90", t("x_side_90"), number(explorer.field.side_90), t("x_side_90_note")],
        ]
      : []),
  ];
  if (parts.drawn !== view.field) explorerLegend();
  parts.drawn = view.field;
  showNumbers(parts.numbers, lines);
  const said =
    explorer.said ||
    (view.moved
      ? t(view.other ? "x_other" : "x_moved", { unit: unitText(row, explorer.at) })
      : explorer.field
        ? t("x_exact_here")
        : "");
  const pixel = pixelText(row);
  for (const [node, text] of [
    [parts.note, said],
    [parts.pixel, pixel],
    [parts.sliceAt, String(parts.stage.slice)],
  ])
    if (node.textContent !== text) node.textContent = text;
  clearTimeout(explorer.speaking);
  // What was said is of another unit or in another language by now.
  parts.live.textContent = "";
  const speech = t("x_speech", {
    unit,
    layer: row.name,
    size: nothing ? t("x_nothing") : lengthsText(view.clipped),
    box: nothing ? "" : sides(view.clipped),
  });
  explorer.speaking = setTimeout(() => {
    parts.live.textContent = `${speech} ${pixel}`;
  }, REST.speak);
}

/** "(3, 3)", or for a token also the patch it stands for. */
function unitText(row, unit) {
  if (!unit.length) return t("x_single");
  if (!row.tokens) return `(${unit.join(", ")})`;
  const { special, grid } = row.tokens,
    [token] = unit;
  if (special.includes(token)) return t("x_token_special", { token });
  const at = token - special.filter((other) => other < token).length;
  return t("x_token", { token, row: Math.floor(at / grid.at(-1)), column: at % grid.at(-1) });
}

/**
 * Fill in the list of numbers; its elements are made once and only their texts change. lines: [key, name,
 * value, note].
 */
function showNumbers(list, lines) {
  const keys = lines.map(([key]) => key).join(" ");
  if (list.dataset.keys !== keys) {
    list.replaceChildren(
      ...lines.map(([key]) => el(`div.x-number.x-number-${key}`, {}, el("dt"), el("dd", {}, el("strong"), el("span")))),
    );
    list.dataset.keys = keys;
  }
  lines.forEach(([, name, value, note], i) => {
    const [
      head,
      {
        children: [strong, small],
      },
    ] = list.children[i].children;
    for (const [node, text] of [
      [head, name],
      [strong, value],
      [small, note],
    ])
      if (node.textContent !== text) node.textContent = text;
  });
}

/** Which units see the chosen pixel, or how to choose one. */
function pixelText(row) {
  if (!explorer.probe) return explorer.parts.stage.axes ? t("x_pixel_hint") : "";
  if (!explorer.seen) return t("x_unknown");
  const count = explorer.seen.reduce((a, b) => a + b, 0);
  return t("x_pixel", {
    position: `(${explorer.probe.join(", ")})`,
    count: number(count),
    total: number(explorer.seen.length),
    layer: row.name,
  });
}

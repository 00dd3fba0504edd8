// A network along one axis, chunk by chunk: what comes in, what is computed, what is kept, and when units are out.

const TIMELINE = { chunks: 4, left: 78, right: 18, row: 62, lane: 15, top: 8 };

function startTimeline() {
  const plan = DATA.stream;
  if (!plan) return ["s-stream", "to-stream"].forEach((id) => byId(id).remove());
  const draw = () => {
    byId("stream-about").textContent = timelineText(plan);
    byId("stream-tools").replaceChildren(...(plan.right == null ? [] : [exportButtons("stream", () => byId("stream").querySelector("svg"))]));
    if (plan.right != null) drawTimeline(plan);
  };
  onLanguage.push(draw);
  new ResizeObserver(eachFrame(draw)).observe(byId("stream"));
  draw();
}

/** "80 samples = 5 ms". */
function spanText(plan, count) {
  const spent = plan.milliseconds == null ? "" : ` = ${number(Number((count * plan.milliseconds).toPrecision(4)))} ms`;
  return `${number(count)} ${t(`unit_${plan.unit}`)}${spent}`;
}

function timelineText(plan) {
  const why = plan.causes.map((text) => text[language] ?? text.en).join("; ");
  const said = { layer: plan.layer, chunk: spanText(plan, plan.chunk), step: number(plan.step), why };
  if (plan.right == null) return t("stream_never", said);
  said.right = spanText(plan, plan.right);
  if (plan.left == null) return t("stream_state", said);
  return t("stream_about", { ...said, left: spanText(plan, plan.left), share: percent((plan.left + plan.right) / plan.chunk) });
}

/** Chunks below one another; each has lanes for what comes in, what is computed and what is kept. */
function drawTimeline(plan) {
  const box = byId("stream"),
    { chunks, left, right, row, lane, top } = TIMELINE,
    width = Math.max(300, box.clientWidth),
    high = top + chunks * row + 34,
    end = chunks * plan.chunk + plan.right,
    x = (at) => left + (at / end) * (width - left - right);
  const bar = (kind, number, place, from, to) =>
    svg(
      `rect.${kind}`,
      { x: x(from), y: top + number * row + place * (lane + 2), width: Math.max(1, x(to) - x(from)), height: lane },
      svg("title", {}, `${t(`stream_${kind}`)}: ${spanText(plan, to - from)}`),
    );
  const rows = Array.from({ length: chunks }, (_, i) => {
    const from = i * plan.chunk,
      stop = from + plan.chunk,
      before = plan.left ?? 0,
      seen = Math.max(0, from - before),
      out = stop + plan.right,
      held = Math.max(0, stop - before),
      middle = top + i * row + 1.5 * lane + 2;
    return svg(
      "g",
      {},
      svg("text.tick", { x: left - 8, y: middle + 4, "text-anchor": "end" }, t("stream_chunk", { number: i + 1 })),
      bar("in", i, 0, i ? from + plan.right : 0, out),
      ...(seen < from ? [bar("again", i, 1, seen, from)] : []),
      bar("computed", i, 1, from, stop),
      ...(out > stop ? [bar("again", i, 1, stop, out)] : []),
      ...(held < out ? [bar("kept", i, 2, held, out)] : []),
      svg(
        "path.out",
        { d: `M${x(out)},${middle - 6}l6,6l-6,6l-6,-6z` },
        svg("title", {}, `${t("stream_out")}: ${spanText(plan, out)}`),
      ),
    );
  });
  const scale = plan.milliseconds ?? 1,
    ticks = roundSteps(end * scale, Math.max(2, Math.min(6, width / 120)));
  box.replaceChildren(
    svg(
      "svg.timeline",
      { width, height: high, viewBox: `0 0 ${width} ${high}`, role: "img", "aria-labelledby": "h-stream stream-about" },
      ...ticks.flatMap((value) => [
        svg("line.grid", { x1: x(value / scale), x2: x(value / scale), y1: top, y2: high - 30 }),
        svg("text.tick", { x: x(value / scale), y: high - 16, "text-anchor": "middle" }, number(Number(value.toPrecision(6)))),
      ]),
      svg("text.tick", { x: width - right, y: high - 2, "text-anchor": "end" }, plan.milliseconds == null ? t(`unit_${plan.unit}`) : "ms"),
      ...rows,
    ),
  );
  const kinds = ["in", "computed", ...(plan.left || plan.right ? ["again", "kept"] : []), "out"];
  byId("stream-legend").replaceChildren(...kinds.map((kind) => el(`span.swatch.${kind}`, {}, t(`stream_${kind}`))));
}

// The text, with what is wrong in it marked where it is wrong.

const spec = byId("spec");
const marks = byId("marks");
let wrongPlace = null;
const history_ = [];

function setText(text, keep = true) {
  if (keep && spec.value !== text) history_.push(spec.value);
  byId("undo").disabled = !history_.length;
  spec.value = text;
  state.text = text;
  showProblem(null);
  fitHeight();
}

function undo() {
  if (!history_.length) return false;
  setText(history_.pop(), false);
  byId("undo").disabled = !history_.length;
  return true;
}

/** Show a message and underline its place; null takes both away. */
function showProblem(problem) {
  const box = byId("problem");
  box.hidden = !problem;
  wrongPlace = problem?.place ?? null;
  // The place is underlined in the text: the message need not name it.
  const said = problem?.message.replace(/^specification, token \d+ '.*?' at character \d+: /, "") ?? "";
  byId("problem-text").textContent = said;
  byId("go").hidden = !wrongPlace;
  spec.setAttribute("aria-invalid", String(Boolean(problem)));
  drawMarks();
}

function drawMarks() {
  marks.replaceChildren();
  if (!wrongPlace) return;
  // Places count characters as Python does, one per code point.
  const points = Array.from(spec.value);
  const [start, end] = wrongPlace;
  marks.append(
    points.slice(0, start).join(""),
    el("mark", {}, points.slice(start, Math.max(end, start + 1)).join("") || " "),
    `${points.slice(end).join("")}\n`,
  );
  marks.scrollTop = spec.scrollTop;
}

function goToProblem() {
  if (!wrongPlace) return;
  const points = Array.from(spec.value);
  const units = (count) => points.slice(0, count).join("").length;
  spec.focus();
  spec.setSelectionRange(units(wrongPlace[0]), units(wrongPlace[1]));
}

function fitHeight() {
  spec.style.height = "auto";
  spec.style.height = `${Math.min(Math.max(spec.scrollHeight + 2, 150), 460)}px`;
}

function startEditor(changed) {
  spec.addEventListener("input", () => {
    state.text = spec.value;
    wrongPlace = null;
    drawMarks();
    fitHeight();
    changed();
  });
  spec.addEventListener("scroll", () => { marks.scrollTop = spec.scrollTop; });
  byId("go").addEventListener("click", goToProblem);
  const input = byId("input");
  input.addEventListener("input", () => { state.input = input.value; changed(); });
  byId("undo").addEventListener("click", () => { if (undo()) changed(); });
}

// Added to the report page by the server: fields of any unit, and the ways to the playground and to the saved page.

{
  const live = DATA.live;
  const page = crypto.getRandomValues(new Uint32Array(2)).join("");
  const told = {
    en: { playground: "Playground", save: "Save", gone: "The server does not answer. Is foveal serve still running?" },
    "zh-CN": { playground: "试验场", save: "保存", gone: "服务器没有回应。foveal serve 还在运行吗？" },
  };

  /** The answer to one question: {field} or {missing}, or null where a later question took its place. */
  const answer = async (row, kind, unit) => {
    const body = JSON.stringify({ layer: row.name, source: row.source, kind, at: unit });
    let response;
    try {
      response = await fetch(`/api/networks/${live.network}/field`, { method: "POST", body, headers: { "content-type": "application/json", "x-page": page } });
    } catch { return { missing: told[language].gone }; }
    if (response.status === 409) return null;
    const text = await response.text();
    try {
      const said = JSON.parse(text);
      return said.error ? { missing: said.error.message } : said;
    } catch { return { missing: text.trim() }; }
  };

  askField = askedOnce(answer);

  const playground = el("a.button", { id: "to-playground", href: "/playground" });
  const text = new URLSearchParams({ text: live.text, input: DATA.sources[0].shape.slice(1).join("x") });
  if (live.text) playground.href = `/playground#${text}`;
  const save = el("a.button", { id: "save", href: `/report/${live.network}`, download: "report.html" });
  document.querySelector(".tools").prepend(playground, save);
  const name = () => { playground.textContent = told[language].playground; save.textContent = told[language].save; };
  onLanguage.push(name);
  name();
}

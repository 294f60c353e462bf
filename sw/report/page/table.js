const PAGE = 200;
const COLUMNS = [
  { key: "number", name: "#", kind: "number", value: layer => layer.number },
  { key: "layer", name: "Layer", value: layer => layer.label.toLowerCase() },
  { key: "op", name: "Operator", value: layer => layer.op },
  { key: "shape", name: "Result", kind: "wide", value: layer => layer.shape.reduce((a, b) => a * b, 1) },
  { key: "where", name: "Runs on", kind: "wide", value: layer => layer.where },
  { key: "macs", name: "MACs", kind: "number wide", value: layer => layer.macs },
  { key: "cycles", name: "Cycles", kind: "number", value: layer => layer.cycles },
  { key: "bar", name: "Steps, waits", kind: "wide", fixed: true },
  { key: "utilization", name: "Util.", kind: "number", value: layer => layer.utilization },
  { key: "lost", name: "Waits most", kind: "wide", value: layer => { const cause = worst(layer); return cause ? layer.lost[cause] : 0; } },
  { key: "read", name: "Bytes moved", kind: "number wide", value: layer => moved(layer) ?? -1 },
];

function moved(layer) { return layer.bytes ? Object.values(layer.bytes).reduce((a, b) => a + b, 0) : null; }

function stackBar(layer, whole) {
  let x = 0;
  const parts = [["issued", layer.issued], ...LOST.map(cause => [cause, layer.lost[cause] || 0])];
  return s("svg", { viewBox: "0 0 200 12", preserveAspectRatio: "none", "aria-hidden": "true" }, parts.map(([name, value]) => {
    const width = 200 * value / whole, rect = s("rect", { x, width, height: 12, fill: fill(name) });
    x += width;
    return width > 0 && rect;
  }));
}

function layerTable() {
  const mount = mountOf("layers"), body = h("tbody", {});
  let key = "number", descending = false, shown = PAGE, text = "", where = "", cause = "", open = null;
  const heads = COLUMNS.map(column => h("th", { scope: "col", class: column.kind },
    column.fixed ? column.name : h("button", { class: "plain", type: "button", onclick: () => sortBy(column.key) }, column.name)));
  const status = h("span", { class: "quiet" });
  const more = h("button", { type: "button", onclick: () => { shown += PAGE; render(); } }, "Show more layers");
  const search = h("input", { type: "search", placeholder: "name, operator, shape", oninput: event => { text = event.target.value.toLowerCase(); filtered(); } });
  const places = h("select", { onchange: event => { where = event.target.value; filtered(); } });
  const waits = h("select", { onchange: event => { cause = event.target.value; filtered(); } },
    h("option", { value: "" }, "anything"), LOST.map(name => h("option", { value: name }, name)));
  mount.replaceChildren(
    h("div", { class: "tools" }, h("label", {}, "Search", search), h("label", {}, "Runs on", places),
      h("label", {}, "Waits most for", waits), status),
    h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Layer table" },
      h("table", {}, h("caption", {}, "Select a layer's name for all its figures. Select a heading to sort."),
        h("thead", {}, h("tr", {}, heads)), body)), more);

  function sortBy(name) {
    descending = key === name ? !descending : name !== "number" && name !== "layer" && name !== "op" && name !== "where";
    key = name;
    shown = PAGE;
    render();
    announce(`sorted by ${COLUMNS.find(column => column.key === name).name}, ${descending ? "descending" : "ascending"}`);
  }
  function filtered() {
    shown = PAGE;
    announce(`${render()} of ${run().layers.length} layers`);
  }
  function matches(layer) {
    return (!where || layer.where === where) && (!cause || worst(layer) === cause) && (!text
      || `${layer.number} ${layer.name} ${layer.label} ${layer.op} ${layer.kernel} ${shapeText(layer.shape)}`.toLowerCase().includes(text));
  }
  function render() {
    const layers = run().layers, column = COLUMNS.find(c => c.key === key);
    const most = Math.max(1, ...layers.slice(0, 20000).map(layer => layer.cycles));
    const rows = layers.map((layer, position) => ({ layer, position })).filter(row => matches(row.layer));
    rows.sort((a, b) => {
      const x = column.value(a.layer), y = column.value(b.layer);
      if (x === y) return a.position - b.position;
      return (x < y) !== descending ? -1 : 1;
    });
    COLUMNS.forEach((c, i) => {
      if (c.key === key) heads[i].setAttribute("aria-sort", descending ? "descending" : "ascending");
      else heads[i].removeAttribute("aria-sort");
    });
    body.replaceChildren(...rows.slice(0, shown).flatMap(({ layer, position }) => layerRow(layer, position, most)));
    status.textContent = rows.length === layers.length ? `${count(rows.length)} layers` : `${count(rows.length)} of ${count(layers.length)} layers`;
    more.hidden = rows.length <= shown;
    more.textContent = `Show ${count(Math.min(PAGE, rows.length - shown))} more of ${count(rows.length - shown)}`;
    return rows.length;
  }
  function layerRow(layer, position, most) {
    const total = run().totals.cycles, chosen = position === state.layer, lost = worst(layer);
    const row = h("tr", { class: chosen && "chosen", "data-layer": position },
      h("td", { class: "number" }, layer.number),
      h("th", { scope: "row" }, h("button", { class: "plain", type: "button", style: "color:var(--accent)", "aria-expanded": String(open === position),
        onclick: () => toggle(position) }, layer.label || "(no name)")),
      h("td", {}, opText(layer)),
      h("td", { class: "wide" }, shapeText(layer.shape)),
      h("td", { class: "wide" }, layer.where),
      h("td", { class: "number wide" }, layer.macs ? count(layer.macs) : ""),
      h("td", { class: "number" }, isDevice(layer) ? count(layer.cycles) : "host", isDevice(layer) && h("small", { style: "display:block" }, percent(layer.cycles, total))),
      h("td", { class: "bar wide" }, layer.cycles > 0 && stackBar(layer, most)),
      h("td", { class: "number" }, layer.cycles && layer.macs ? percent(layer.utilization, 1) : ""),
      h("td", { class: "wide" }, lost && layer.lost[lost] >= layer.cycles / 100 ? `${lost} ${percent(layer.lost[lost], layer.cycles)}` : ""),
      h("td", { class: "number wide" }, moved(layer) ? bytes(moved(layer)) : ""));
    return open === position ? [row, detail(layer, position)] : [row];
  }
  function opText(layer) {
    return [layer.op.split("+")[0].replace(/_/g, "_\u200b"), layer.fused.map(name => ` + ${name}`).join(""), layer.kernel && ` ${layer.kernel}`];
  }
  function detail(layer, position) {
    const rows = [["Full name", layer.name || "(no name)"], ["Result", shapeText(layer.shape)], ["Runs on", layer.where + (layer.runtime ? `, by ${layer.runtime}` : "") + (layer.why ? `: ${layer.why}` : "")]];
    if (layer.macs) rows.push(["Multiplications", count(layer.macs) + (layer.removed_macs ? `, ${count(layer.removed_macs)} of them with dead channels and left out` : "")]);
    if (isDevice(layer)) {
      rows.push(["Cycles", `${count(layer.cycles)} from cycle ${count(layer.first)} on, ${time(layer.cycles)}`]);
      rows.push(["With a step", `${count(layer.issued)} (${percent(layer.issued, layer.cycles)})`]);
      for (const name of LOST) if (layer.lost[name]) rows.push([`Lost: ${name}`, `${count(layer.lost[name])} (${percent(layer.lost[name], layer.cycles)})`]);
      if (layer.bytes) rows.push(["Bytes moved", Object.entries(layer.bytes).map(([name, value]) => `${name} ${bytes(value)}`).join(", ")]);
      if (Object.keys(layer.constants).length) rows.push(["Constants", Object.entries(layer.constants).map(([name, value]) => `${name} ${bytes(value)}`).join(", ")]);
      rows.push(["Instructions", `${layer.instructions[2]}, ${layer.instructions[0]} to ${layer.instructions[1]}`]);
      if (layer.steps > 1) rows.push(["Recurrent", `${layer.steps} steps of ${count(layer.cycles / layer.steps)} cycles`]);
    }
    const from = run().edges.filter(([, end]) => end === position).map(([start]) => start < 0 ? "the model's input" : title(run().layers[start]));
    if (from.length) rows.push(["Reads", from.join("; ")]);
    return h("tr", { class: "detail" }, h("td", { colspan: COLUMNS.length },
      h("dl", {}, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      h("div", { class: "tools" }, isDevice(layer) && layer.cycles > 0 && h("button", { type: "button", onclick: () => selectLayer(position, "timeline") }, "Show in the timeline"),
        h("button", { type: "button", onclick: () => selectLayer(position, "graph") }, "Show in the graph"))));
  }
  function toggle(position) {
    open = open === position ? null : position;
    state.layer = open;
    render();
    body.querySelector(`tr[data-layer="${position}"] button`)?.focus();
    emit("layer", { position: open, how: "table" });
  }
  on("layer", ({ position, how }) => {
    if (how === "table" || position === null) return;
    if (how === "timeline" || how === "graph") { render(); return; }
    open = position;
    text = where = cause = search.value = places.value = waits.value = "";
    key = "number";
    descending = false;
    shown = Math.max(PAGE, position + 1);
    render();
    body.querySelector(`tr[data-layer="${position}"]`)?.scrollIntoView({ block: "center" });
    body.querySelector(`tr[data-layer="${position}"] button`)?.focus({ preventScroll: true });
  });
  on("run", () => {
    open = null;
    where = "";
    places.replaceChildren(h("option", { value: "" }, "anything"),
      ...[...new Set(run().layers.map(layer => layer.where))].map(name => h("option", { value: name }, name)));
    render();
  });
  // All rows stand on paper.
  addEventListener("beforeprint", () => { shown = Math.max(shown, 1000); render(); });
}

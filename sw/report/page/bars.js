const BARS = 40;

function cycleBars() {
  const mount = mountOf("cycles");
  let byCycles = true, lostOnly = false, all = false;
  const order = h("button", { type: "button", "aria-pressed": "true", onclick: event => { byCycles = !byCycles; event.target.setAttribute("aria-pressed", byCycles); again(); } }, "Longest first");
  const lost = h("button", { type: "button", "aria-pressed": "false", onclick: event => { lostOnly = !lostOnly; event.target.setAttribute("aria-pressed", lostOnly); again(); } }, "Lost cycles only");
  const more = h("button", { type: "button", onclick: () => { all = !all; again(); } });
  const box = drawn(draw);
  const top = h("div", {});
  mount.replaceChildren(top, h("div", { class: "tools" }, order, lost, more), box);
  const again = () => box.redraw();

  function chosen() {
    let layers = run().layers.map((layer, position) => ({ layer, position })).filter(row => row.layer.cycles);
    const size = layer => lostOnly ? layer.cycles - layer.issued : layer.cycles;
    if (byCycles) layers = [...layers].sort((a, b) => size(b.layer) - size(a.layer));
    return { layers, size };
  }
  function draw(width) {
    const { layers, size } = chosen();
    const rows = layers.slice(0, all ? 400 : BARS);
    more.hidden = layers.length <= BARS;
    more.textContent = all ? `Show ${BARS} layers` : `Show ${count(Math.min(400, layers.length))} layers`;
    const left = width < 560 ? 108 : 250, right = 74, high = 20, plot = width - left - right;
    const most = Math.max(1, ...rows.map(row => size(row.layer)));
    const label = `Cycles by cause of ${rows.length} of ${layers.length} layers${byCycles ? ", longest first" : ""}; the layer table has the figures`;
    return svg(width, rows.length * high + 6, label, rows.map(({ layer, position }, i) => {
      let x = left;
      const parts = (lostOnly ? [] : [["issued", layer.issued]]).concat(LOST.map(name => [name, layer.lost[name] || 0]));
      const lines = parts.filter(part => part[1]).map(([name, value]) => `${WORDS[name]}: ${count(value)}, ${percent(value, layer.cycles)}`);
      return tipped(s("g", { class: "clickable", onclick: () => selectLayer(position, "bars") },
        s("rect", { x: 0, y: i * high, width, height: high, fill: "transparent" }),
        s("text", { x: left - 8, y: i * high + 14, "text-anchor": "end" }, `${layer.number} ${short(layer.label, width < 560 ? 12 : 34)}`),
        parts.map(([name, value]) => {
          const wide = plot * value / most, rect = s("rect", { x, y: i * high + 3, width: Math.max(0, wide), height: high - 6, fill: fill(name), class: wide > 3 && "outline" });
          x += wide;
          return value > 0 && rect;
        }),
        s("text", { x: x + 6, y: i * high + 14, class: "faint" }, count(size(layer)))),
      `${title(layer)}\n${layer.label}\n${count(layer.cycles)} cycles\n${lines.join("\n")}`);
    }));
  }
  function totals() {
    const causes = run().cycles_by_cause || {}, whole = run().totals.cycles || 0, names = Object.keys(causes);
    const bar = drawn(width => {
      let x = 0;
      return svg(width, 34, `Of ${count(whole)} cycles: ${names.map(name => `${WORDS[name] || name} ${percent(causes[name], whole)}`).join(", ")}`,
        names.map(name => {
          const wide = width * causes[name] / whole, part = tipped(s("g", {}, s("rect", { x, y: 2, width: wide, height: 30, fill: fill(name), class: "outline" }),
            wide > 60 && s("text", { x: x + wide / 2, y: 21, "text-anchor": "middle", class: "on-fill" }, percent(causes[name], whole))),
          `${WORDS[name] || name}: ${count(causes[name])} cycles, ${percent(causes[name], whole)}`);
          x += wide;
          return part;
        }));
    });
    const kinds = ["", "number", "number"];
    top.replaceChildren(bar, legend(names), h("details", {}, h("summary", {}, "The figures as a table"),
      table("Cycles by cause", [["cause", ""], ["cycles", "number"], ["share", "number"]],
        [...names.map(name => cells([WORDS[name] || name, count(causes[name]), percent(causes[name], whole)], kinds)),
          cells(["all", count(whole), "100 %"], kinds)])));
  }
  on("run", () => { all = false; totals(); again(); });
}

const BIT_WORDS = { weights: "weights, as stored", parameters: "biases, multipliers and shifts", tables: "tables of functions", headers: "headers of blocks", padding: "padding to whole words of memory", programs: "programs of units", other: "other constants" };

function constantBits() {
  const mount = mountOf("bits");
  on("run", () => {
    const bits = run().bits;
    if (!bits || !bits.weights) { hide("bits"); return; }
    document.getElementById("bits").hidden = false;
    const names = Object.keys(bits.bytes), whole = names.reduce((sum, name) => sum + bits.bytes[name], 0), per = name => 8 * bits.bytes[name] / bits.weights;
    const bar = drawn(width => {
      let x = 0;
      return svg(width, 34, names.map(name => `${BIT_WORDS[name] || name} ${per(name).toFixed(2)} bits a weight`).join(", "), names.map(name => {
        const wide = width * bits.bytes[name] / whole, part = tipped(s("g", {}, s("rect", { x, y: 2, width: wide, height: 30, fill: fill(name), class: "outline" }),
          wide > 44 && s("text", { x: x + wide / 2, y: 21, "text-anchor": "middle", class: "on-fill" }, per(name).toFixed(2))),
        `${BIT_WORDS[name] || name}\n${per(name).toFixed(2)} bits a weight\n${count(bits.bytes[name])} bytes`);
        x += wide;
        return part;
      }));
    });
    const kinds = ["", "number", "number", "number"];
    const layers = run().layers.map(layer => [layer, Object.values(layer.constants).reduce((a, b) => a + b, 0)]).filter(row => row[1]).sort((a, b) => b[1] - a[1]);
    mount.replaceChildren(
      h("p", {}, `${(8 * whole / bits.weights).toFixed(2)} bits a weight in all: ${count(whole)} bytes for ${count(bits.weights)} weights. Eight would be the weights alone, unpacked.`),
      bar, legend(names, BIT_WORDS), h("div", { class: "columns" },
        table("Bytes by cause", [["cause", ""], ["bytes", "number"], ["bits a weight", "number"], ["share", "number"]],
          names.map(name => cells([BIT_WORDS[name] || name, count(bits.bytes[name]), per(name).toFixed(3), percent(bits.bytes[name], whole)], kinds))),
        table(`Layers with the most, ${Math.min(10, layers.length)} of ${layers.length}`, [["layer", ""], ["bytes", "number"], ["weights", "number"], ["of it the rest", "number"]],
          layers.slice(0, 10).map(([layer, size]) => cells([`${title(layer)}, ${layer.label}`, count(size), count(layer.constants.weights || 0), percent(size - (layer.constants.weights || 0), size)], kinds)))));
  });
}

function accuracyPart() {
  const mount = document.querySelector("#accuracy .mount");
  on("run", () => {
    const found = run().accuracy;
    document.getElementById("accuracy").hidden = !found;
    if (!found) return;
    const parts = [h("p", {}, `${count(found.correct)} of ${count(found.inferences)} answers are right: ${(100 * found.accuracy).toFixed(1)} %, on ${found.device}, with ${found.data}.`)];
    if (found.classes) {
      const most = Math.max(1, ...found.classes.flat());
      parts.push(h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Answers by label" }, h("table", { class: "heat" },
        h("caption", {}, "Rows: the label. Columns: the answer."),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "label"), found.classes.map((_, i) => h("th", { scope: "col", class: "number" }, i)))),
        h("tbody", {}, found.classes.map((row, i) => h("tr", {}, h("th", { scope: "row" }, i), row.map((value, k) =>
          h("td", { style: value ? `box-shadow:inset 0 0 0 2px var(--${k === i ? "good" : "bad"});font-weight:${value * 2 > most ? 700 : 400}` : "" }, value || ""))))))));
    }
    mount.replaceChildren(...parts);
  });
}

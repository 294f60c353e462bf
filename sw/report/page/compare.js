const LESS = 1, MORE = -1;
const MEASURES = [
  ["One inference", r => r.totals.milliseconds, v => `${figure(v)} ms`, LESS], ["Cycles", r => r.totals.cycles, count, LESS],
  ["Utilization", r => r.totals.utilization, v => percent(v, 1), MORE], ["On-chip memory", r => r.totals.memory_bytes, bytes, LESS],
  ["Outside memory", r => r.totals.outside_bytes, bytes, LESS], ["Constants", r => r.totals.weight_bytes, bytes, LESS],
  ["Bits a weight", r => r.totals.bits_per_weight, v => v.toFixed(2), LESS], ["Instructions", r => r.totals.instructions, count, LESS],
  ["Operators on the host", r => r.totals.host_operators, count, LESS], ["Host segments in the middle", r => r.totals.host_segments && r.totals.host_segments.count, count, LESS],
  ["Line to the host", r => r.link && r.link.milliseconds, v => `${figure(v)} ms`, LESS],
  ["Accuracy", r => r.accuracy && r.accuracy.accuracy, v => percent(v, 1), MORE],
  ...LOST.map(name => [`Lost: ${name}`, r => r.cycles_by_cause && (r.cycles_by_cause[name] || 0), (v, r) => `${count(v)} (${percent(v, r.totals.cycles)})`, 0]),
];

function change(before, after, better) {
  if (before === after) return ["same", ""];
  if (!before) return ["", ""];
  const share = 100 * (after - before) / before, text = `${share > 0 ? "+" : "−"}${Math.abs(share) >= 1000 ? count(Math.abs(share)) : Math.abs(share).toFixed(1)} %`;
  return [`${text} ${(share < 0) === (better === LESS) ? "better" : "worse"}`, (share < 0) === (better === LESS) ? "down" : "up"];
}

function comparison() {
  if (data.runs.length < 2) return;
  const mount = mountOf("compare"), runs = data.runs, first = runs[0];
  const bars = drawn(width => {
    const fits = runs.filter(r => r.fits), most = Math.max(...fits.map(r => r.totals.milliseconds), 1e-9), left = width < 560 ? 110 : 280, high = 30;
    return svg(width, runs.length * high, `Milliseconds of an inference: ${runs.map(r => `${r.label} ${r.fits ? figure(r.totals.milliseconds) : "does not fit"}`).join(", ")}`, runs.map((r, i) => {
      let x = left;
      const room = width - left - 84, parts = r.fits ? Object.entries(r.cycles_by_cause || {}) : [];
      return [s("text", { x: left - 8, y: i * high + 19, "text-anchor": "end" }, short(r.label, width < 560 ? 15 : 40)),
        parts.map(([name, value]) => {
          const wide = room * r.totals.milliseconds / most * value / (r.totals.cycles || 1), rect = s("rect", { x, y: i * high + 5, width: wide, height: high - 10, fill: fill(name), class: wide > 3 && "outline" });
          x += wide;
          return rect;
        }),
        s("text", { x: x + 6, y: i * high + 19 }, r.fits ? `${figure(r.totals.milliseconds)} ms` : "does not fit")];
    }));
  });
  const rows = MEASURES.map(([name, value, text, better]) => {
    const values = runs.map(r => r.fits ? value(r) : null);
    if (values.every(v => !v)) return null;
    return h("tr", {}, h("th", { scope: "row" }, name), values.map((v, i) => {
      if (v === null || v === undefined) return h("td", { class: "number" }, "");
      const [words, look] = i && better && values[0] !== null && values[0] !== undefined && first.model === runs[i].model ? change(values[0], v, better) : ["", ""];
      return h("td", { class: "number" }, text(v, runs[i]), words && h("small", { class: look, style: "display:inline-block;margin-left:.6em" }, words));
    }));
  });
  const fitting = h("tr", {}, h("th", { scope: "row" }, "Fits"), runs.map(r => h("td", { class: "number" }, r.fits ? "yes" : "no")));
  const clock = h("tr", {}, h("th", { scope: "row" }, "Clock"), runs.map(r => h("td", { class: "number" }, `${+r.clock.mhz.toFixed(2)} MHz`)));
  mount.replaceChildren(bars, legend(["issued", ...LOST].filter(name => runs.some(r => r.cycles_by_cause && r.cycles_by_cause[name]))), table("The runs side by side", [["figure", ""], ...runs.map(r => [r.label, "number"])], [fitting, clock, ...rows]), changes());
}

// Layers of two runs of one model side by side, by name; those that differ most first.
function changes() {
  const runs = data.runs, box = h("div", {});
  const choose = label => h("select", { "aria-label": label, onchange: () => show() }, runs.map((r, i) => r.fits && h("option", { value: i }, r.label)));
  const from = choose("Layers of"), to = choose("against");
  const second = runs.findIndex((r, i) => i && r.fits && r.model === runs[0].model);
  if (runs.filter(r => r.fits).length < 2) return "";
  to.value = String(second > 0 ? second : runs.findLastIndex(r => r.fits));
  function show() {
    const a = runs[from.value], b = runs[to.value], known = new Map(a.layers.map(layer => [layer.name, layer]));
    const pairs = b.layers.filter(layer => known.has(layer.name)).map(layer => [known.get(layer.name), layer]);
    pairs.sort((p, q) => Math.abs(q[1].cycles - q[0].cycles) - Math.abs(p[1].cycles - p[0].cycles));
    const kinds = ["", "number", "number", "number", ""];
    const rows = pairs.slice(0, 40).map(([x, y]) => {
      const waits = LOST.map(name => [name, (y.lost[name] || 0) - (x.lost[name] || 0)]).sort((p, q) => Math.abs(q[1]) - Math.abs(p[1]))[0];
      return cells([`${title(y)}, ${y.label}`, isDevice(x) ? count(x.cycles) : "host", isDevice(y) ? count(y.cycles) : "host", change(x.cycles, y.cycles, LESS)[0],
        waits[1] ? `${waits[0]} ${waits[1] > 0 ? "+" : "−"}${count(Math.abs(waits[1]))}` : ""], kinds);
    });
    box.replaceChildren(rows.length ? table(`Cycles of layers, largest change first, ${rows.length} of ${pairs.length}`,
      [["layer", ""], [short(a.label, 34), "number"], [short(b.label, 34), "number"], ["change", "number"], ["waits changed most", ""]], rows)
      : h("p", { class: "note" }, "These runs have no layer of the same name."));
  }
  show();
  return h("div", {}, h("h3", { style: "margin-top:18px" }, "Layer by layer"), h("div", { class: "tools" }, h("label", {}, "From", from), h("label", {}, "to", to)), box);
}

const MOST_RECTANGLES = 1000;
const KIND_WORDS = { commands: "commands", constants: "weights, parameters, tables", input: "inputs", output: "outputs", intermediate: "tensors between layers", temporary: "the compiler's own results", host: "tensors from and to the host" };

function memoryMap() {
  const mount = mountOf("memory"), words = h("div", {}), box = drawn(draw);
  let even = true, tensors = false;
  const scale = h("button", { type: "button", "aria-pressed": "true", onclick: event => { even = !even; event.target.setAttribute("aria-pressed", even); box.redraw(); } }, "Layers equally wide");
  const only = h("button", { type: "button", "aria-pressed": "false", onclick: event => { tensors = !tensors; event.target.setAttribute("aria-pressed", tensors); box.redraw(); } }, "Tensors only");
  mount.replaceChildren(h("div", { class: "tools" }, scale, only), box, words);

  // From where to where a rectangle lasts, in parts of the whole.
  function place(item) {
    const layers = run().layers, whole = run().totals.cycles;
    if (even || !whole) return [item.first / layers.length, (item.last + 1) / layers.length];
    const last = layers[item.last];
    return [layers[item.first].first / whole, (last.first + last.cycles) / whole];
  }
  function sides() {
    const all = run().memory;
    return [[false, "On-chip memory", run().available_bytes], [true, "Outside memory", 0]].map(([outside, name, room]) => {
      const here = all.filter(item => item.outside === outside);
      const used = here.reduce((end, item) => Math.max(end, item.address + item.bytes), 0);
      const items = tensors ? here.filter(item => item.kind !== "constants" && item.kind !== "commands") : here;
      const low = tensors ? items.reduce((least, item) => Math.min(least, item.address), used) : 0;
      return { name, items, used, low, high: tensors ? used : Math.max(used, Math.min(room, used * 1.35)), room };
    }).filter(side => side.items.length);
  }
  function draw(width) {
    const left = 70, right = 10, tall = width < 560 ? 260 : 340, panels = sides();
    if (!panels.length) return h("p", { class: "note" }, "The program has nothing in device memory.");
    let top = 22;
    const parts = [];
    for (const side of panels) {
      const span = Math.max(1, side.high - side.low), Y = address => top + tall * (1 - (address - side.low) / span), step = niceStep(span / 1024, 5) * 1024;
      parts.push(s("text", { x: 0, y: top - 8, "font-weight": 600 }, `${side.name}: ${bytes(side.used)}${side.room ? ` of ${bytes(side.room)}` : ""}`));
      for (let at = Math.ceil(side.low / step) * step; at <= side.high; at += step) parts.push(s("path", { class: "axis", d: `M${left},${Y(at)}H${width - right}` }), s("text", { x: left - 6, y: Y(at) + 4, "text-anchor": "end", class: "faint" }, bytes(at)));
      if (side.room && side.room <= side.high) parts.push(s("path", { class: "roof dashed", d: `M${left},${Y(side.room)}H${width - right}` }));
      const shown = side.items.length > MOST_RECTANGLES ? [...side.items].sort((a, b) => b.bytes - a.bytes).slice(0, MOST_RECTANGLES) : side.items;
      for (const item of shown) {
        const [a, b] = place(item), x = left + (width - left - right) * a, wide = Math.max(1, (width - left - right) * (b - a)), high = Math.max(1, tall * item.bytes / span);
        const text = item.kind === "constants" || item.kind === "commands" ? KIND_WORDS[item.kind] : short(item.name.split(/[/;]/).pop() || item.name, Math.floor(wide / 6.6));
        parts.push(tipped(s("g", {}, s("rect", { x, y: Y(item.address + item.bytes), width: wide, height: high, fill: fill(item.kind), class: "outline" }),
          high > 14 && wide > 60 && s("text", { x: x + 5, y: Y(item.address + item.bytes / 2) + 4, class: "on-fill" }, text)),
        `${short(item.name, 120)}\n${KIND_WORDS[item.kind] || item.kind}\n${bytes(item.bytes)} at ${count(item.address)}\nlayers ${item.first + 1} to ${item.last + 1}`));
      }
      top += tall + 34;
    }
    parts.push(s("text", { x: (left + width - right) / 2, y: top - 14, "text-anchor": "middle", class: "faint" }, even ? `layers 1 to ${count(run().layers.length)} in turn` : `cycles 0 to ${count(run().totals.cycles)}`));
    return svg(width, top - 4, `Device memory over time, ${panels.map(side => `${side.name.toLowerCase()} ${bytes(side.used)}`).join(", ")}; the table below has the rectangles`, parts);
  }
  on("run", () => {
    box.redraw();
    const items = [...run().memory].sort((a, b) => b.bytes - a.bytes), kinds = ["", "", "number", "number", "number"];
    words.replaceChildren(legend([...new Set(run().memory.map(item => item.kind))], KIND_WORDS),
      h("details", {}, h("summary", {}, `The ${items.length > 200 ? "200 largest of " : ""}${count(items.length)} rectangles as a table`), table("Device memory, largest first",
        [["name", ""], ["kind", ""], ["bytes", "number"], ["address", "number"], ["layers", "number"]],
        items.slice(0, 200).map(item => cells([short(item.name, 90) || "(no name)", KIND_WORDS[item.kind] || item.kind, count(item.bytes), (item.outside ? "outside " : "") + count(item.address), `${item.first + 1} to ${item.last + 1}`], kinds)))));
  });
}

const MOST_POINTS = 1000;

function roofline() {
  const mount = mountOf("roofline"), box = drawn(draw), words = h("div", {});
  mount.replaceChildren(box, words);

  function points() {
    return run().layers.map((layer, position) => {
      const read = layer.bytes ? Object.entries(layer.bytes).reduce((sum, [kind, value]) => sum + (kind === "output" ? 0 : value), 0) : 0;
      const macs = layer.macs - layer.removed_macs;
      return { layer, position, read, x: macs / read, y: macs / layer.cycles };
    }).filter(point => point.read > 0 && point.y > 0 && Number.isFinite(point.x));
  }
  function draw(width) {
    const found = points(), roofs = run().roofs, small = width < 560;
    const height = small ? 340 : 440, left = 54, right = 16, top = 26, bottom = 44;
    if (!found.length) return h("p", { class: "note" }, "No layer both multiplies and reads memory by its instruction's fields: there is nothing to draw.");
    const knee = roofs.macs_per_cycle / roofs.bytes_per_cycle;
    const xs = [knee / 4, knee * 4, ...found.map(p => p.x)], ys = [roofs.macs_per_cycle * 1.6, roofs.macs_per_cycle / 16, ...found.map(p => p.y)];
    const range = values => [Math.floor(Math.log10(Math.min(...values)) * 2) / 2, Math.ceil(Math.log10(Math.max(...values)) * 2) / 2];
    const [x0, x1] = range(xs), [y0, y1] = range(ys);
    const X = value => left + (width - left - right) * (Math.log10(value) - x0) / (x1 - x0);
    const Y = value => height - bottom - (height - top - bottom) * (Math.log10(value) - y0) / (y1 - y0);
    const ticks = (low, high) => [...Array(20).keys()].map(i => Math.ceil(low) + i).filter(i => i <= high).map(i => 10 ** i);
    const slanted = (rate, name, kind) => {
      const end = Math.min(roofs.macs_per_cycle / rate, 10 ** x1), start = Math.max(10 ** x0, 10 ** y0 / rate);
      if (start >= end) return [];
      const angle = -Math.atan2(Y(start * rate) - Y(end * rate), X(end) - X(start)) * 180 / Math.PI;
      const at = Math.sqrt(start * end), x = X(at), y = Y(at * rate) - 7;
      return [s("path", { class: `roof ${kind}`, d: `M${X(start)},${Y(start * rate)} L${X(end)},${Y(end * rate)}` }),
        s("text", { x, y, class: "faint", "text-anchor": "middle", transform: `rotate(${angle} ${x} ${y})` }, name)];
    };
    const flat = roofs.macs_per_cycle;
    const whole = run().totals.cycles;
    return svg(width, height, `Roofline of ${found.length} layers: multiplications a byte read against multiplications a cycle. The table below has the figures`,
      ticks(x0, x1).map(value => [s("path", { class: "axis", d: `M${X(value)},${top} V${height - bottom}` }), s("text", { x: X(value), y: height - bottom + 17, "text-anchor": "middle", class: "faint" }, String(value))]),
      ticks(y0, y1).map(value => [s("path", { class: "axis", d: `M${left},${Y(value)} H${width - right}` }), s("text", { x: left - 6, y: Y(value) + 4, "text-anchor": "end", class: "faint" }, String(value))]),
      s("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "MACs a byte read from device memory"),
      s("text", { x: left, y: 14 }, "MACs a cycle"),
      slanted(roofs.bytes_per_cycle, `memory: ${roofs.bytes_per_cycle} bytes a cycle`, ""),
      run().totals.outside_bytes ? slanted(roofs.outside_bytes_per_cycle, `outside: ${roofs.outside_bytes_per_cycle} bytes a cycle`, "dashed") : [],
      s("path", { class: "roof", d: `M${X(Math.max(10 ** x0, knee))},${Y(flat)} H${width - right}` }),
      s("text", { x: small ? width - right : X(Math.max(10 ** x0, knee)) + 6, y: Y(flat) - 24, "text-anchor": small ? "end" : "start", class: "faint" }, `multipliers: ${flat} MACs a cycle`),
      [...found].sort((a, b) => b.layer.cycles - a.layer.cycles).slice(0, MOST_POINTS).map(point => {
        const name = point.layer.issued * 2 >= point.layer.cycles ? "issued" : worst(point.layer) || "issued";
        const radius = 4 + 16 * Math.sqrt(point.layer.cycles / whole), x = X(point.x), y = Y(point.y);
        return tipped(s("g", { class: "clickable", onclick: () => selectLayer(point.position, "roofline") },
          s("circle", { cx: x, cy: y, r: radius, fill: fill(name), stroke: "var(--ink)", "stroke-width": 1, "fill-opacity": .85 }),
          (radius > 8 || found.length < 14) && s("text", { x: x + radius + 3, y: y + 4, class: "faint" }, point.layer.number)),
        `${title(point.layer)}\n${point.layer.label}\n${figure(point.x)} MACs a byte, ${figure(point.y)} MACs a cycle\n${count(point.layer.cycles)} cycles`);
      }));
  }
  on("run", () => {
    box.redraw();
    const found = points(), names = [...new Set(found.map(p => p.layer.issued * 2 >= p.layer.cycles ? "issued" : worst(p.layer) || "issued"))];
    const kinds = ["", "number", "number", "number", "number"];
    words.replaceChildren(legend(names, { ...WORDS, issued: "array takes a step in most cycles" }),
      h("p", { class: "small quiet" }, found.length > MOST_POINTS ? `The ${MOST_POINTS} longest of ${count(found.length)} layers are shown. ` : "", "The area of a circle is the layer's share of the cycles. Circles can lie above a roof: a layer's cycles begin where the one before ends, its work earlier."),
      h("details", {}, h("summary", {}, "The figures as a table"), table("Roofline",
        [["layer", ""], ["bytes read", "number"], ["MACs a byte", "number"], ["MACs a cycle", "number"], ["of the multipliers", "number"]],
        found.slice(0, 300).map(p => cells([`${title(p.layer)}, ${p.layer.label}`, count(p.read), figure(p.x), figure(p.y), percent(p.y, run().roofs.macs_per_cycle)], kinds)))));
  });
}

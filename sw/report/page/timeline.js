const UNIT_WORDS = { commands: "commands", load: "load", weights: "weights", array: "array", post: "post", operand: "operand", store: "store", vector: "vector", cell: "cell" };

function timeline() {
  const mount = mountOf("timeline");
  let model = null, low = 0, high = 1, cursor = 0, row = 0, size = 900, waiting = 0;
  const box = drawn(width => { size = width; return draw(width); });
  const stage = h("div", { class: "timeline", tabindex: 0, role: "application", "aria-roledescription": "timeline", "aria-label": "Timeline of the units. Arrow keys move, plus and minus zoom, up and down choose a unit, Home shows all, Enter zooms to the span." }, box);
  const readout = h("p", { class: "readout", role: "status", "aria-live": "polite" });
  const jump = h("select", { onchange: event => { if (event.target.value !== "") toLayer(Number(event.target.value)); } });
  const range = h("details", {}, h("summary", {}, "Figures of the range shown"));
  const figures = h("div", {});
  const key = h("div", {}), note = h("p", { class: "small quiet" });
  range.append(figures);
  range.addEventListener("toggle", () => tabulate());
  const button = (text, label, call) => h("button", { type: "button", "aria-label": label, onclick: call }, text);
  mount.replaceChildren(h("div", { class: "tools" },
    button("+", "Zoom in", () => zoom(1 / 3)), button("−", "Zoom out", () => zoom(3)),
    button("←", "Earlier", () => move(-.5)), button("→", "Later", () => move(.5)),
    h("button", { type: "button", onclick: () => set(0, model.cycles) }, "All"),
    h("label", {}, "Layer", jump)), stage, readout, key, note, range);

  function left() { return size < 560 ? 74 : 84; }
  function plot() { return size - left() - 4; }
  function X(cycle) { return left() + plot() * (cycle - low) / (high - low); }
  function cycleAt(event) {
    const place = box.getBoundingClientRect();
    return low + (high - low) * Math.min(1, Math.max(0, ((event.clientX - place.left) * size / place.width - left()) / plot()));
  }
  function rowAt(event) {
    const place = box.getBoundingClientRect(), y = (event.clientY - place.top) * size / place.width - TOP;
    return Math.max(0, Math.min(model.units.length - 1, Math.floor(y / HIGH)));
  }
  const TOP = 66, HIGH = 27;

  function set(from, to, keep) {
    const span = Math.min(model.cycles, Math.max(model.exact ? 12 : 100, to - from));
    low = Math.max(0, Math.min(model.cycles - span, from));
    high = low + span;
    if (!keep) cursor = Math.min(high, Math.max(low, cursor));
    if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; box.redraw(); tabulate(); });
  }
  function zoom(factor, at = cursor > low && cursor < high ? cursor : (low + high) / 2) { set(at - (at - low) * factor, at + (high - at) * factor); }
  function move(share) {
    const by = (high - low) * share;
    set(low + by, high + by);
  }
  function toLayer(position) {
    const layer = run().layers[position];
    const room = layer.cycles * .05;
    cursor = layer.first + layer.cycles / 2;
    set(layer.first - room, layer.first + layer.cycles + room);
    say();
  }
  function stateName(number) { return model.states[number] || "wait"; }
  function words(number) { return number === 0 ? "works" : WORDS[stateName(number)] || `waits: ${stateName(number)}`; }
  function describe(cycle, unit) {
    const at = layerAt(cycle), span = model.exact ? spanAt(unit.spans, Math.floor(cycle)) : null;
    const of = at === null ? "" : `, layer ${title(run().layers[at])}`;
    if (!model.exact) return `cycle ${count(cycle)}${of}`;
    if (!span) return `${unit.name}: idle at cycle ${count(cycle)}${of}`;
    const own = model.layerOf(span.instruction);
    const layer = own === undefined ? "" : `, layer ${title(run().layers[own])}`;
    return `${unit.name}: ${words(span.state)}, cycles ${count(span.first)} to ${count(span.first + span.cycles)} (${count(span.cycles)}, ${time(span.cycles)}), instruction ${span.instruction}${layer}`;
  }
  function layerAt(cycle) {
    const layers = run().layers;
    let a = 0, b = layers.length;
    while (a < b) { const middle = (a + b) >> 1; if (layers[middle].first + layers[middle].cycles <= cycle) a = middle + 1; else b = middle; }
    return a < layers.length ? a : null;
  }
  function occurring() {
    const found = new Set(model.units.flatMap(unit => [...sums(unit.spans, 0, model.cycles).keys()]));
    return model.states.filter((_, kind) => found.has(kind));
  }
  function say() { readout.textContent = `Shown: cycles ${count(low)} to ${count(high)} (${time(high - low)}). ${describe(cursor, model.units[row])}.`; }

  function layersRow() {
    const layers = run().layers, parts = [];
    let last = -9;
    for (let i = layerAt(low) ?? 0; i < layers.length && layers[i].first < high; i++) {
      const layer = layers[i];
      if (!layer.cycles) continue;
      const a = Math.max(left(), X(layer.first)), b = Math.min(size - 4, X(layer.first + layer.cycles));
      if (b - last < .7) continue;
      last = b;
      parts.push(s("rect", { x: a, y: 40, width: Math.max(.6, b - a - .6), height: 20, rx: b - a > 8 ? 3 : 0, fill: i % 2 ? "var(--accent-soft)" : "var(--soft)", stroke: "var(--line)", "stroke-width": .7 }));
      const letters = Math.floor((b - a - 6) / 6.6), text = `${layer.number} ${layer.op.split("+")[0]} ${layer.label}`;
      if (letters >= String(layer.number).length) parts.push(s("text", { x: a + 4, y: 54 }, text.length <= letters ? text : text.slice(0, Math.max(String(layer.number).length, letters - 1)) + (letters > 5 ? "…" : "")));
    }
    return parts;
  }
  function unitPaths(unit, y) {
    const wide = 2, bins = Math.ceil(plot() / wide), perCycle = plot() / (high - low), full = HIGH - 7;
    const binned = model.states.map(() => null), exact = model.states.map(() => []);
    const put = (from, to, kind, share) => {
      const start = Math.max(0, (from - low) * perCycle / wide), end = Math.min(bins, (to - low) * perCycle / wide);
      const line = binned[kind] ||= new Float32Array(bins);
      for (let b = Math.floor(start); b < end; b++) line[b] += share * (Math.min(end, b + 1) - Math.max(start, b));
    };
    walk(unit.spans, 0, low, high, model.exact ? 3 / perCycle : Infinity,
      (first, cycles, instruction, kind) => {
        if (cycles * perCycle < 2.5) { put(first, first + cycles, kind, 1); return; }
        const a = Math.max(left(), X(first)), b = Math.min(size - 4, X(first + cycles));
        exact[kind].push(`M${a.toFixed(1)},${y}h${Math.max(.3, b - a - .4).toFixed(1)}v${full}H${a.toFixed(1)}z`);
      },
      (first, cycles, mix, period) => { for (const [kind, part] of mix.states) put(first, first + cycles, kind, part / period); });
    const floor = new Float32Array(bins), paths = [];
    model.states.forEach((name, kind) => {
      const line = binned[kind], parts = exact[kind];
      if (line) {
        for (let b = 0; b < bins; b++) {
          if (line[b] < .004) continue;
          let e = b + 1;
          while (e < bins && Math.abs(line[e] - line[b]) < .01 && Math.abs(floor[e] - floor[b]) < .01) e++;
          const tall = Math.min(1 - floor[b], line[b]) * full, bottom = y + full - floor[b] * full;
          parts.push(`M${left() + b * wide},${(bottom - tall).toFixed(1)}h${(e - b) * wide}v${tall.toFixed(1)}h${(b - e) * wide}z`);
          for (let k = b; k < e; k++) floor[k] += line[k];
          b = e - 1;
        }
      }
      if (parts.length) paths.push(s("path", { d: parts.join(""), fill: fill(name), "data-unit": unit.name, "data-state": name }));
    });
    return paths;
  }
  function draw(width) {
    if (!model) return s("svg", {});
    const height = TOP + model.units.length * HIGH + 4, step = niceStep(high - low, width < 560 ? 3 : 7), marks = [];
    for (let at = Math.ceil(low / step) * step; at <= high; at += step) marks.push(at);
    const a = left() + plot() * low / model.cycles, b = left() + plot() * high / model.cycles;
    return svg(width, height, `Timeline, cycles ${count(low)} to ${count(high)} of ${count(model.cycles)}; the figures of the range are in a table below`,
      s("rect", { x: left(), y: 2, width: plot(), height: 8, fill: "var(--soft)" }), s("rect", { x: a, y: 1, width: Math.max(3, b - a), height: 10, rx: 2, fill: "var(--accent)" }),
      s("text", { x: 0, y: 11, class: "faint" }, "whole"), s("text", { x: 0, y: 31, class: "faint" }, "cycle"), s("text", { x: 0, y: 54, class: "faint" }, "layer"),
      marks.map(at => [s("path", { class: "axis", d: `M${X(at)},34V${height}` }), X(at) < width - 24 && s("text", { x: X(at), y: 29, "text-anchor": X(at) < left() + 20 ? "start" : "middle", class: "faint" }, count(at))]),
      layersRow(),
      model.units.map((unit, i) => [i === row && s("rect", { x: 0, y: TOP + i * HIGH, width, height: HIGH - 1, fill: "var(--soft)", opacity: .7 }),
        s("text", { x: 2, y: TOP + i * HIGH + 17, "font-weight": i === row ? 700 : 400 }, UNIT_WORDS[unit.name] || unit.name), unitPaths(unit, TOP + i * HIGH + 3)]),
      cursor >= low && cursor <= high && s("path", { d: `M${X(cursor)},34V${height}`, stroke: "var(--ink)", "stroke-width": 1.2, "stroke-dasharray": "3 3" }));
  }
  function tabulate() {
    if (!range.open || !model) return;
    const whole = high - low, rows = [];
    for (const unit of model.units) {
      const found = sums(unit.spans, low, high);
      let busy = 0;
      for (const [kind, cycles] of [...found].sort((p, q) => p[0] - q[0])) {
        busy += cycles;
        rows.push(cells([unit.name, words(kind), count(cycles), percent(cycles, whole)], ["", "", "number", "number"]));
      }
      if (whole - busy >= .5) rows.push(cells([unit.name, "idle", count(whole - busy), percent(whole - busy, whole)], ["", "", "number", "number"]));
    }
    figures.replaceChildren(table(`Cycles ${count(low)} to ${count(high)}`, [["unit", ""], ["state", ""], ["cycles", "number"], ["share", "number"]], rows));
  }

  stage.addEventListener("keydown", event => {
    const acts = { ArrowLeft: () => move(-.2), ArrowRight: () => move(.2), "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), "_": () => zoom(2), Home: () => set(0, model.cycles),
      ArrowUp: () => { row = Math.max(0, row - 1); set(low, high); }, ArrowDown: () => { row = Math.min(model.units.length - 1, row + 1); set(low, high); }, Enter: () => toSpan() };
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[event.key]();
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown" && event.key !== "Enter") cursor = (low + high) / 2;
    say();
  });
  function toSpan() {
    const span = model.exact && spanAt(model.units[row].spans, Math.floor(cursor));
    if (span) { cursor = span.first + span.cycles / 2; set(span.first - span.cycles * .2, span.first + span.cycles * 1.2); }
  }
  stage.addEventListener("wheel", event => {
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); move(event.deltaX / 600); return; }
    if (!event.ctrlKey && document.activeElement !== stage) return;
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 100), cycleAt(event));
  }, { passive: false });
  const held = new Map();
  let pinch = null, moved_ = false;
  stage.addEventListener("pointerdown", event => { held.set(event.pointerId, event); moved_ = false; pinch = null; });
  stage.addEventListener("pointermove", event => {
    const before = held.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") tip(event, describe(cycleAt(event), model.units[rowAt(event)]));
      return;
    }
    const scale = (high - low) / plot() * size / box.getBoundingClientRect().width;
    if (held.size === 1) {
      const by = (before.clientX - event.clientX) * scale;
      if (Math.abs(before.clientX - event.clientX) > 2) { moved_ = true; stage.classList.add("dragged"); stage.setPointerCapture(event.pointerId); set(low + by, high + by, true); held.set(event.pointerId, event); }
      return;
    }
    held.set(event.pointerId, event);
    const [p, q] = [...held.values()], apart = Math.max(20, Math.abs(p.clientX - q.clientX));
    if (pinch) zoom(pinch / apart, cycleAt({ clientX: (p.clientX + q.clientX) / 2, clientY: p.clientY }));
    pinch = apart;
    moved_ = true;
  });
  const release = event => {
    if (held.delete(event.pointerId) && !moved_ && event.type === "pointerup") { cursor = cycleAt(event); row = rowAt(event); set(low, high); say(); }
    stage.classList.remove("dragged");
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", event => tip(event, ""));
  addEventListener("beforeprint", () => { range.open = true; tabulate(); });
  stage.addEventListener("dblclick", event => { cursor = cycleAt(event); zoom(.25, cursor); say(); });
  on("layer", ({ position, how }) => {
    if (how !== "timeline") return;
    toLayer(position);
    document.getElementById("timeline").scrollIntoView();
    stage.focus({ preventScroll: true });
  });
  on("run", () => {
    model = timelineOf(run());
    row = Math.max(0, model.units.findIndex(unit => unit.name === "array"));
    cursor = 0;
    document.getElementById("timeline").hidden = !model.cycles;
    jump.replaceChildren(h("option", { value: "" }, "choose"), ...run().layers.map((layer, i) => layer.cycles > 0 && i < 1000 && h("option", { value: i }, `${title(layer)} ${short(layer.label, 30)}`)).filter(Boolean));
    key.replaceChildren(legend(occurring()));
    note.textContent = model.exact ? "Drag to move; the wheel zooms once the timeline has the focus, or with Ctrl. Where a row is too fine to draw, its height is shared out between work and waits."
      : "There is no record of events in this report: each layer shows its shares, not their order.";
    set(0, model.cycles);
    say();
  });
}

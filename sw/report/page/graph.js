const NODE = 52, GAP = 16, LANE = 13, LANES = 14;

function layerGraph() {
  const mount = mountOf("graph"), space = h("div", { style: "position:relative" });
  const scroll = h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Graph of the layers" }, space);
  const words = h("div", {});
  let lanes = [], skips = [], next = new Set(), inputs = new Set(), side = 0, printing = false;
  mount.replaceChildren(words, scroll);

  // Edges beside the column of layers: each has a lane that no other edge has meanwhile.
  function arrange() {
    skips = run().edges.filter(([a, b]) => a >= 0 && b !== a + 1).map(([a, b]) => ({ a, b, lane: 0 })).sort((p, q) => p.a - q.a || p.b - q.b);
    next = new Set(run().edges.filter(([a, b]) => b === a + 1 && a >= 0).map(([a]) => a));
    inputs = new Set(run().edges.filter(([a]) => a < 0).map(([, b]) => b));
    lanes = [];
    for (const edge of skips) {
      let lane = lanes.findIndex(end => end <= edge.a);
      if (lane < 0) lane = lanes.length < LANES ? lanes.push(0) - 1 : LANES - 1;
      lanes[lane] = Math.max(lanes[lane], edge.b);
      edge.lane = lane;
    }
    side = 26 + lanes.length * LANE;
  }
  function y(position) { return 34 + position * (NODE + GAP); }
  function draw() {
    const layers = run().layers, width = Math.max(280, scroll.clientWidth - 4), all = y(layers.length) + 6;
    const from = printing ? 0 : Math.max(0, scroll.scrollTop - 200);
    const to = printing ? Math.min(all, y(120)) : Math.min(all, scroll.scrollTop + scroll.clientHeight + 200);
    const a = Math.max(0, Math.floor((from - 34) / (NODE + GAP)) - 1), b = Math.min(layers.length, Math.ceil((to - 34) / (NODE + GAP)) + 1);
    const most = Math.max(1, ...layers.slice(0, 20000).map(layer => layer.cycles)), box = Math.min(860, width - side - 8), parts = [];
    for (const edge of skips) {
      if (edge.b < a || edge.a > b) continue;
      const x = side - 14 - edge.lane * LANE, top = y(edge.a) + NODE * .66, bottom = y(edge.b) + NODE * .34;
      parts.push(s("path", { class: "edge", d: `M${side},${top} H${x + 7} Q${x},${top} ${x},${top + 7} V${bottom - 7} Q${x},${bottom} ${x + 7},${bottom} H${side - 5}` }), arrow(side - 1, bottom, 0));
    }
    for (let i = a; i < b; i++) parts.push(node(layers[i], i, box, most));
    space.style.height = `${printing ? to : all}px`;
    space.replaceChildren(s("svg", { width, height: to - from, viewBox: `0 ${from} ${width} ${to - from}`, role: "img",
      "aria-label": `Layers ${a + 1} to ${b} of ${layers.length}, one below the other, with lines to those that read them; each layer's row in the layer table names what it reads`,
      style: `position:absolute;left:0;top:${from}px;display:block` }, parts));
  }
  function arrow(x, at, angle) { return s("path", { d: "M0,0 l-7,-4 v8 z", transform: `translate(${x} ${at}) rotate(${angle})`, fill: "var(--quiet)" }); }
  function node(layer, i, box, most) {
    const top = y(i), middle = side + 30, room = box - 96, letters = Math.floor(room / 7);
    const unit = layer.where.split("+").pop(), fused = layer.fused.join(" + "), head = `${title({ ...layer, op: layer.op.split("+")[0] })}`;
    const parts = [
      next.has(i - 1) && [s("path", { class: "edge", d: `M${middle},${top - GAP} V${top - 2}` }), arrow(middle, top - 1, 90)],
      inputs.has(i) && [s("text", { x: middle + 10, y: top - 6, class: "faint" }, "model input"), s("path", { class: "edge", d: `M${middle},${top - 14} V${top - 2}` }), arrow(middle, top - 1, 90)],
      s("rect", { class: `node${state.layer === i ? " chosen" : ""}`, x: side, y: top, width: box, height: NODE, rx: 7 }),
      s("rect", { x: side + 1, y: top + 6, width: 6, height: NODE - 12, fill: fill(unit) }),
      s("text", { x: side + 16, y: top + 20, "font-weight": 600 }, head.slice(0, letters), fused && s("tspan", { fill: "var(--unit)", style: "fill:var(--unit)" }, ` + ${fused}`.slice(0, Math.max(0, letters - head.length)))),
      s("text", { x: side + 16, y: top + 38, class: "faint" }, `${layer.where} · ${layer.shape.length ? `${shapeText(layer.shape)} · ` : ""}${layer.label}`.slice(0, Math.floor(room / 6))),
      s("text", { x: side + box - 8, y: top + 20, "text-anchor": "end", class: "faint" }, isDevice(layer) ? percent(layer.cycles, run().totals.cycles) : "host"),
      layer.cycles > 0 && s("rect", { x: side + box - 68, y: top + 30, width: 60, height: 8, fill: "var(--soft)" }),
      layer.cycles > 0 && s("rect", { x: side + box - 68, y: top + 30, width: Math.max(1, 60 * layer.cycles / most), height: 8, fill: fill("issued") }),
    ];
    return tipped(s("g", { class: "clickable", "data-node": i, onclick: () => selectLayer(i, "graph-click") }, parts),
      () => `${title(layer)}\n${layer.name}\n${layer.where}${layer.runtime ? `, by ${layer.runtime}` : ""}${layer.why ? `: ${layer.why}` : ""}${isDevice(layer) ? `\n${count(layer.cycles)} cycles` : ""}`);
  }
  let waiting = 0;
  const again = () => { if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; draw(); }); };
  scroll.addEventListener("scroll", again);
  if (window.ResizeObserver) new ResizeObserver(again).observe(scroll);
  addEventListener("beforeprint", () => { printing = true; draw(); });
  addEventListener("afterprint", () => { printing = false; draw(); });
  on("layer", ({ position, how }) => {
    if (how === "graph") {
      document.getElementById("graph").scrollIntoView();
      scroll.scrollTop = y(position) - 120;
      scroll.focus({ preventScroll: true });
    }
    again();
  });
  on("run", () => {
    arrange();
    const units = [...new Set(run().layers.flatMap(layer => layer.where.split("+")))];
    words.replaceChildren(legend(units, { array: "array", vector: "vector unit", cell: "cell unit", host: "host" }),
      h("p", { class: "small quiet" }, "Behind a + stands what is fused into a layer. Lines at the left skip layers. The bar is the layer's share of the cycles."));
    scroll.scrollTop = 0;
    again();
  });
}

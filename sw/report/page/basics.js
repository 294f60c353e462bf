const data = JSON.parse(document.getElementById("data").textContent);
const NS = "http://www.w3.org/2000/svg";
const LOST = ["load", "dependency", "weights", "requantize", "store", "fill"];
const WORDS = {
  issued: "array takes a step", work: "works", load: "waits for input rows",
  dependency: "waits for an earlier layer", weights: "waits for weights",
  requantize: "waits for the requantizer", store: "waits for a store", fill: "windows fill, or another unit works",
  input: "waits for input", operand: "waits for the operand", room: "waits for room behind", memory: "waits for memory",
  queue: "waits for units to take the instruction",
};
// Colour is never alone: each state has a pattern of its own.
const LOOKS = {
  operand: ["extra", "upright"], room: ["requantize", "dots"], memory: ["weights", "falling"], queue: ["dependency", "upright"],
  issued: ["issued", "solid"], work: ["issued", "solid"], load: ["load", "rising"],
  dependency: ["dependency", "level"], weights: ["weights", "cross"], requantize: ["requantize", "dots"],
  store: ["store", "upright"], fill: ["fill", "falling"], parameters: ["load", "rising"],
  tables: ["requantize", "dots"], headers: ["store", "upright"], padding: ["dependency", "level"],
  programs: ["extra", "falling"], other: ["fill", "falling"], array: ["issued", "solid"],
  vector: ["unit", "rising"], cell: ["requantize", "dots"], host: ["host", "level"],
  commands: ["dependency", "level"], constants: ["weights", "cross"], input: ["load", "rising"],
  output: ["requantize", "dots"], intermediate: ["issued", "solid"], temporary: ["store", "upright"],
};
const SHAPES = {
  solid: [], rising: ["M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4"], falling: ["M-2,6 l4,4 M0,0 l8,8 M6,-2 l4,4"],
  level: ["M0,2 h8 M0,6 h8"], upright: ["M2,0 v8 M6,0 v8"], cross: ["M0,0 l8,8 M8,0 l-8,8"],
  dots: ["M2,2 h.01 M6,6 h.01"],
};
const state = { run: 0, layer: null };
const listeners = {};

function on(name, call) { (listeners[name] ||= []).push(call); }
function emit(name, value) { for (const call of listeners[name] || []) call(value); }
function run() { return data.runs[state.run]; }

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}
function h(tag, attributes, ...children) { return build(document.createElement(tag), attributes, children); }
function s(tag, attributes, ...children) { return build(document.createElementNS(NS, tag), attributes, children); }

function count(value) { return Math.round(value).toLocaleString("en-US"); }
function percent(part, whole) {
  if (!whole) return "";
  const share = 100 * part / whole;
  return share > 0 && share < 0.1 ? "<0.1 %" : `${share >= 99.95 ? "100" : share.toFixed(1)} %`;
}
function figure(value) {
  return value >= 100 || value === 0 ? count(value) : value >= 1 ? value.toFixed(2) : value.toPrecision(3);
}
function bytes(value) {
  if (value < 10240) return `${count(value)} B`;
  return value < 10 * 1048576 ? `${count(Math.ceil(value / 1024))} KiB` : `${(value / 1048576).toFixed(1)} MiB`;
}
function time(cycles) {
  const us = cycles / run().clock.mhz;
  return us >= 1000 ? `${figure(us / 1000)} ms` : us >= 1 ? `${figure(us)} µs` : `${figure(us * 1000)} ns`;
}
function shapeText(shape) { return (shape.length > 1 && shape[0] === 1 ? shape.slice(1) : shape).join("×"); }
function short(text, letters) { return text.length > letters ? `…${text.slice(1 - letters)}` : text; }
function title(layer) { return `${layer.number} ${layer.op}${layer.kernel ? ` ${layer.kernel}` : ""}`; }
function isDevice(layer) { return layer.where !== "host"; }
function worst(layer) {
  let best = null;
  for (const cause of Object.keys(layer.lost)) if (!best || layer.lost[cause] > layer.lost[best]) best = cause;
  return best;
}
function look(name) { return LOOKS[name] || ["extra", "falling"]; }
function fill(name) { return `url(#fill-${look(name).join("-")})`; }
function announce(text) { document.getElementById("live").textContent = text; }

function patterns() {
  const pairs = new Set([...Object.values(LOOKS), ["extra", "falling"]].map(pair => pair.join("-")));
  const defs = [...pairs].map(pair => {
    const [color, shape] = pair.split("-");
    return s("pattern", { id: `fill-${pair}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      s("rect", { width: 8, height: 8, style: `fill:var(--${color})` }),
      SHAPES[shape].map(path => s("path", { d: path, style: "stroke:var(--mark)", fill: "none",
        "stroke-width": shape === "dots" ? 2.6 : 1.3, "stroke-linecap": "round" })));
  });
  document.body.append(s("svg", { width: 0, height: 0, style: "position:absolute", "aria-hidden": "true" }, s("defs", {}, defs)));
}
function swatch(name) {
  return s("svg", { viewBox: "0 0 20 13", "aria-hidden": "true" }, s("rect", { width: 20, height: 13, rx: 2, fill: fill(name) }));
}
function legend(names, words) {
  return h("ul", { class: "legend", "aria-label": "Legend" },
    names.map(name => h("li", {}, swatch(name), (words || WORDS)[name] || name)));
}
function mountOf(id) {
  const section = document.getElementById(id);
  section.hidden = false;
  return section.querySelector(".mount");
}
function hide(id) { document.getElementById(id).hidden = true; }

// Draws into a container at its width, and anew when the width changes.
function drawn(draw) {
  const box = h("div", {});
  let width = 0;
  const again = () => {
    const now = Math.max(300, Math.round(box.clientWidth || 900));
    if (now !== width) { width = now; box.replaceChildren(draw(width)); }
  };
  box.redraw = () => { width = 0; again(); };
  if (window.ResizeObserver) new ResizeObserver(again).observe(box);
  requestAnimationFrame(again);
  return box;
}
function svg(width, height, label, ...children) {
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, children);
}
function tip(event, text) {
  const box = document.getElementById("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${Math.min(event.clientY + 16, innerHeight - box.offsetHeight - 8)}px`;
}
function tipped(element, text) {
  element.addEventListener("pointermove", event => tip(event, typeof text === "function" ? text() : text));
  element.addEventListener("pointerleave", event => tip(event, ""));
  return element;
}
function table(caption, head, rows, attributes) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", attributes || {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))),
      h("tbody", {}, rows)));
}
function cells(row, kinds) { return h("tr", {}, row.map((text, i) => h(i ? "td" : "th", { class: kinds[i], scope: i ? null : "row" }, text))); }
function niceStep(span, parts) {
  const raw = span / parts, power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 5, 10].find(step => step * power >= raw) || 10);
}
function selectLayer(position, how) {
  state.layer = position;
  emit("layer", { position, how });
}

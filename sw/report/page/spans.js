// Spans of the event record: [first, cycles, instruction, state], or a repeat
// [first, period, count, [spans]]. State 0 is work, s > 0 a wait for cause s - 1.
const mixes = new WeakMap();

function isRepeat(span) { return Array.isArray(span[3]); }
function lengthOf(span) { return isRepeat(span) ? span[1] * span[2] : span[1]; }

// Cycles by state in one period of a repeat, and an instruction of it.
function mixOf(span) {
  let mix = mixes.get(span);
  if (mix) return mix;
  mix = { states: new Map(), instruction: null };
  for (const inner of span[3]) {
    if (isRepeat(inner)) {
      const deeper = mixOf(inner);
      mix.instruction ??= deeper.instruction;
      for (const [name, cycles] of deeper.states) mix.states.set(name, (mix.states.get(name) || 0) + cycles * inner[2]);
    } else {
      mix.instruction ??= inner[2];
      mix.states.set(inner[3], (mix.states.get(inner[3]) || 0) + inner[1]);
    }
  }
  mixes.set(span, mix);
  return mix;
}

// The position of the first span that ends behind a cycle.
function firstBehind(spans, cycle) {
  let low = 0, high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle][0] + lengthOf(spans[middle]) <= cycle) low = middle + 1; else high = middle;
  }
  return low;
}

// Calls one(first, cycles, instruction, state) for what overlaps low..high, and
// mixed(first, cycles, mix, period) for repeats with periods shorter than ``finest`` cycles.
function walk(spans, base, low, high, finest, one, mixed) {
  for (let i = firstBehind(spans, low - base); i < spans.length; i++) {
    const span = spans[i], first = base + span[0];
    if (first >= high) return;
    if (!isRepeat(span)) { one(first, span[1], span[2], span[3]); continue; }
    const [, period, times, inner] = span;
    if (period < finest) { mixed(first, period * times, mixOf(span), period); continue; }
    const start = Math.max(0, Math.floor((low - first) / period));
    for (let k = start; k < times && first + k * period < high; k++) walk(inner, first + k * period, low, high, finest, one, mixed);
  }
}

// The span at a cycle: {first, cycles, instruction, state}, or null where the unit is idle.
function spanAt(spans, cycle, base = 0) {
  const span = spans[firstBehind(spans, cycle - base)];
  if (!span || base + span[0] > cycle) return null;
  if (!isRepeat(span)) return { first: base + span[0], cycles: span[1], instruction: span[2], state: span[3] };
  const [first, period, , inner] = span;
  return spanAt(inner, cycle, base + first + Math.floor((cycle - base - first) / period) * period);
}

// Cycles by state between two cycles.
function sums(spans, low, high, base = 0, into = new Map()) {
  const add = (name, cycles) => into.set(name, (into.get(name) || 0) + cycles);
  for (let i = firstBehind(spans, low - base); i < spans.length; i++) {
    const span = spans[i], first = base + span[0];
    if (first >= high) break;
    if (!isRepeat(span)) {
      add(span[3], Math.min(high, first + span[1]) - Math.max(low, first));
      continue;
    }
    const [, period, times, inner] = span;
    const start = Math.max(0, Math.ceil((low - first) / period)), end = Math.min(times, Math.floor((high - first) / period));
    if (end > start) for (const [name, cycles] of mixOf(span).states) add(name, cycles * (end - start));
    const edge = new Set([Math.floor((low - first) / period), Math.floor((high - first) / period)]);
    for (const k of edge) if (k >= 0 && k < times && (k < start || k >= end)) sums(inner, low, high, first + k * period, into);
  }
  return into;
}

// What the timeline draws of a run: its event record or, without one, the shares of each layer.
function timelineOf(chosen) {
  const events = chosen.events;
  if (events) {
    // Instructions of the record are counted without the END behind each run.
    const owner = [];
    const inOrder = chosen.layers.map((layer, position) => ({ layer, position })).filter(row => row.layer.instructions.length);
    inOrder.sort((a, b) => a.layer.instructions[0] - b.layer.instructions[0]);
    for (const { layer, position } of inOrder) for (let i = 0; i < layer.instructions[2]; i++) owner.push(position);
    return {
      exact: true, cycles: events.cycles, states: ["work", ...events.causes],
      units: Object.keys(events.spans).filter(unit => events.spans[unit].length || unit === "array")
        .sort((a, b) => events.units.indexOf(a) - events.units.indexOf(b)).map(name => ({ name, spans: events.spans[name] })),
      layerOf: instruction => owner[instruction],
    };
  }
  const spans = chosen.layers.map((layer, position) => [layer, position]).filter(([layer]) => layer.cycles).map(([layer, position]) => {
    let at = 0;
    const inner = [layer.issued, ...LOST.map(name => layer.lost[name] || 0)].map((cycles, kind) => {
      at += cycles;
      return [at - cycles, cycles, position, kind];
    }).filter(span => span[1]);
    return [layer.first, layer.cycles, 1, inner];
  });
  return { exact: false, cycles: chosen.totals.cycles, states: ["work", ...LOST], units: [{ name: "array", spans }],
    layerOf: position => position };
}

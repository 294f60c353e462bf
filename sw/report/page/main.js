function navigation() {
  const nav = document.getElementById("nav"), links = new Map();
  const sections = [...document.querySelectorAll("main > section")];
  const names = { summary: "Summary", compare: "Compare", cycles: "Cycles", layers: "Layers", timeline: "Timeline", roofline: "Roofline", memory: "Memory", graph: "Graph", bits: "Bits", accuracy: "Accuracy" };
  for (const section of sections) {
    const link = h("a", { href: `#${section.id}` }, names[section.id]);
    links.set(section.id, link);
    nav.append(link);
  }
  on("chosen", () => { for (const section of sections) links.get(section.id).hidden = section.hidden; });
  const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      const link = links.get(entry.target.id);
      nav.querySelector("[aria-current]")?.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      if (nav.scrollWidth > nav.clientWidth) nav.scrollTo({ left: link.offsetLeft - nav.clientWidth / 2 });
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of sections) watcher.observe(section);
}

function chooser() {
  if (data.runs.length < 2) return;
  const box = document.getElementById("chooser");
  box.hidden = false;
  box.append(h("span", { class: "quiet", id: "chooser-label" }, "Details of"), h("div", { role: "group", "aria-labelledby": "chooser-label", class: "tools", style: "margin:0" },
    data.runs.map((each, i) => h("button", { type: "button", "data-choose": i, onclick: () => choose(i) }, each.label))));
}

function choose(number) {
  state.run = number;
  state.layer = null;
  for (const button of document.querySelectorAll("[data-choose]")) button.setAttribute("aria-pressed", String(Number(button.dataset.choose) === number));
  for (const article of document.querySelectorAll("article.verdict")) article.hidden = Number(article.dataset.run) !== number;
  const parts = ["cycles", "layers", "timeline", "roofline", "memory", "graph", "bits", "accuracy"];
  for (const id of parts) document.getElementById(id).hidden = !run().fits;
  if (run().fits) {
    if (!run().totals.cycles) { hide("cycles"); hide("roofline"); }
  }
  if (run().fits) emit("run");
  emit("chosen");
  announce(`details of ${run().label}`);
}

// What is folded away is shown on paper.
const folded = new Set();
addEventListener("beforeprint", () => { for (const item of document.querySelectorAll("details:not([open])")) { folded.add(item); item.open = true; } });
addEventListener("afterprint", () => { for (const item of folded) item.open = false; folded.clear(); });

patterns();
comparison();
cycleBars();
layerTable();
timeline();
roofline();
memoryMap();
layerGraph();
constantBits();
accuracyPart();
navigation();
chooser();
choose(Math.max(0, data.runs.findIndex(each => each.fits && !each.before)));

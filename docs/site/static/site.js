// What the theme leaves out for keyboards and screen readers.
document.addEventListener("DOMContentLoaded", () => {
  const each = (selector, change) => document.querySelectorAll(selector).forEach(change);
  // Frames that scroll sideways can be reached by keyboard.
  each(".table-wrapper, .highlight pre, .content p:has(> img)", (frame) => {
    if (frame.scrollWidth > frame.clientWidth) {
      frame.tabIndex = 0;
    }
  });
  each("p.caption[role=heading]", (caption) => caption.setAttribute("aria-level", "2"));
  each("aside.sidebar-drawer", (drawer) => drawer.setAttribute("aria-label", "Pages"));
  each("aside.toc-drawer", (drawer) => drawer.setAttribute("aria-label", "On this page"));
  // Parameters of a signature are a list only for its looks.
  each("dt.sig dl, dt.sig dl dd", (part) => {
    const block = document.createElement("div");
    block.className = `signature-${part.localName}`;
    block.append(...part.childNodes);
    part.replaceWith(block);
  });
  // The corner of a table is no heading.
  each("th", (cell) => {
    if (!cell.textContent.trim()) {
      cell.replaceWith(document.createElement("td"));
    }
  });
  if (document.getElementById("search-results") && !document.querySelector("h1")) {
    const heading = document.createElement("h1");
    heading.textContent = "Search";
    document.getElementById("search-results").before(heading);
  }
});

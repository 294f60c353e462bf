"use strict";
(() => {
  const plan = document.getElementById("plan");
  const status = document.getElementById("chosen");
  const buttons = [...document.querySelectorAll("button[data-block]")];
  if (!status) return;
  const all = document.getElementById("all");
  let fixed = "";

  function show(number) {
    plan.classList.toggle("alone", number !== "");
    for (const item of document.querySelectorAll("svg [data-block], tr[data-block]"))
      item.classList.toggle("chosen", item.dataset.block === number);
  }

  function choose(number) {
    fixed = number === fixed ? "" : number;
    show(fixed);
    let text = "All blocks are shown.";
    for (const button of buttons) {
      const pressed = button.dataset.block === fixed;
      button.setAttribute("aria-pressed", String(pressed));
      if (pressed) text = `Shown alone: ${button.dataset.title}, ${button.dataset.cells} cells.`;
    }
    status.textContent = text;
    all.disabled = fixed === "";
  }

  for (const button of buttons) {
    button.addEventListener("click", () => choose(button.dataset.block));
    button.addEventListener("pointerenter", () => show(button.dataset.block));
    button.addEventListener("pointerleave", () => show(fixed));
  }
  for (const group of plan.querySelectorAll("g.block")) {
    const own = buttons.find((button) => button.dataset.block === group.dataset.block);
    const tip = document.createElementNS("http://www.w3.org/2000/svg", "title");
    tip.textContent = own.dataset.title;
    group.append(tip);
    group.addEventListener("click", () => choose(group.dataset.block));
  }
  all.addEventListener("click", () => {
    choose("");
    buttons[0].focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && fixed) choose("");
  });
  const route = document.getElementById("route");
  if (route)
    route.addEventListener("click", () => {
      const shown = route.getAttribute("aria-pressed") !== "true";
      route.setAttribute("aria-pressed", String(shown));
      plan.classList.toggle("without", !shown);
    });
})();

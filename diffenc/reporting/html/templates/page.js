"use strict";

// Tables: a header's button sorts by its column, upwards, downwards, and back to the order of the study.
// A cell's data-rank is its place in that order; cells without one stay last, and equal ones keep their order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const next = { none: "ascending", ascending: "descending", descending: "none" };

  const sort = (column, direction) => {
    const rank = (row) => row.cells[column].dataset.rank;
    const sign = direction === "ascending" ? 1 : -1;
    const ranked = rows.filter((row) => rank(row) !== undefined);
    const others = rows.filter((row) => rank(row) === undefined);
    ranked.sort((a, b) => sign * (rank(a) - rank(b)));
    body.append(...(direction === "none" ? rows : [...ranked, ...others]));
    table.classList.toggle("sorted", direction !== "none");
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = next[head.getAttribute("aria-sort")];
      for (const one of heads) one.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", direction);
      sort(column, direction);
    });
  });
}

// Figures: of each kind one is shown, the others by choice. Without this script all of them are.
for (const kind of document.querySelectorAll(".kind")) {
  const choice = kind.querySelector(".choice");
  if (!choice) continue;
  const select = choice.querySelector("select");
  const figures = [...kind.querySelectorAll("figure")];
  const show = () => figures.forEach((figure, i) => (figure.hidden = i !== Number(select.value)));
  select.addEventListener("change", show);
  choice.hidden = false;
  show();
}

// A figure as large as the window, or larger on a small one; the browser closes a dialog by Esc.
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const [small, large] = [button.querySelector("img"), dialog.querySelector("img")];
    large.src = small.src;
    large.alt = small.alt;
    large.style.cssText = small.style.cssText;
    dialog.querySelector("p").textContent = button.parentElement.querySelector("figcaption").textContent;
    const save = dialog.querySelector("a");
    save.href = small.src;
    save.download = small.dataset.file;
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

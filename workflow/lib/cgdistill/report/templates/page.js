"use strict";
// Tables: every head becomes a button that sorts by its column; what is not known comes last either way.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  if (body.rows.length < 2) continue;
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return "sort" in cell.dataset ? cell.dataset.sort : cell.textContent.trim();
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map(row => [valueOf(row, column), row]);
      const numbers = rows.every(([value]) => value === "" || !Number.isNaN(Number(value)));
      rows.sort(([a], [b]) => (a === "") - (b === "") ||
        sign * (numbers ? a - b : a.localeCompare(b, "en", { numeric: true })));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// Figures: enlarged in a dialog, closed by its button, by Escape, or by a click.
const dialog = document.querySelector("dialog"), large = dialog.querySelector("img");
for (const button of document.querySelectorAll(".picture")) button.addEventListener("click", () => {
  const image = button.querySelector("img");
  large.src = image.src;
  large.alt = image.alt;
  dialog.showModal();
});
dialog.addEventListener("click", () => dialog.close());
// A link into something folded opens it.
const reveal = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
// On paper everything is open, as far as it is meant for paper.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open]):not(.screen)")];
  for (const fold of opened) fold.open = true;
  for (const image of document.querySelectorAll("img[loading]")) image.loading = "eager";
});
addEventListener("afterprint", () => { for (const fold of opened) fold.open = false; });

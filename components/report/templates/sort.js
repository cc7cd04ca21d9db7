// Paper shows what is folded away on the screen.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

// Makes the headers of sortable tables buttons. Without script the tables are as they were written.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.textContent = header.textContent;
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const order = header.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", order);
      const read = (row) => row.cells[column].textContent.trim();
      // Dates and ids begin with digits: only what is a number as a whole, but for an interval in
      // brackets behind it, or an empty cell, counts.
      const number = (text) => {
        const found = text.replace(/,/g, "").match(/^([+-]?[0-9.]+(e[+-]?[0-9]+)?)( ?%| M)?( \(.*\))?$/);
        return found ? Number(found[1]) : text === "" ? -Infinity : NaN;
      };
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [one, other] = [number(read(a)), number(read(b))];
        const compared =
          Number.isNaN(one) || Number.isNaN(other)
            ? read(a).localeCompare(read(b))
            : one === other ? 0 : one - other;
        return order === "ascending" ? compared : -compared;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

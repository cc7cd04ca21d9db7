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
      const number = (text) => parseFloat(text.replace(/,/g, ""));
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const difference = number(read(a)) - number(read(b));
        const compared = Number.isNaN(difference) ? read(a).localeCompare(read(b)) : difference;
        return order === "ascending" ? compared : -compared;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

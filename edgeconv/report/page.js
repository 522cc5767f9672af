
"use strict";
(() => {
  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    element.className = kind;
    element.textContent = text;
    return element;
  };

  // What a cell sorts by: its exact number where it has one; dashes go last.
  const key = (cell, kind) => {
    if (kind === "text") return cell.querySelector("code")?.textContent ?? cell.textContent;
    const data = cell.querySelector("data");
    return data ? Number(data.value) : NaN;
  };
  const compare = (a, b, down) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    const order = typeof a === "number" ? a - b : a.localeCompare(b);
    return down ? -order : order;
  };

  const sortTable = (table, column, kind, down) => {
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row.cells[column], kind), row]);
    keyed.sort((a, b) => compare(a[0], b[0], down));
    body.append(...keyed.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.layers")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", "", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const number = head.dataset.sort === "number";
        const before = head.getAttribute("aria-sort");
        // Names read from A, numbers from the largest; a second click turns it round.
        const down = before ? before === "ascending" : number;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sortTable(table, column, head.dataset.sort, down);
      });
    });
  }

  const value = (bar, label) => {
    const row = document.getElementById(bar.dataset.row);
    const cell = row && [...row.cells].find((each) => each.dataset.label === label);
    return cell ? key(cell, "number") : NaN;
  };
  const orders = [
    ["Graph order", (bar) => Number(document.getElementById(bar.dataset.row)?.dataset.order), false],
    ["Lowest SQNR", (bar) => value(bar, "SQNR"), false],
    ["Largest share", (bar) => value(bar, "Share"), true],
  ];
  const place = (bars) => bars.forEach((bar, index) =>
    bar.setAttribute("x", `${(100 * index / bars.length).toFixed(3)}%`));

  for (const chart of document.querySelectorAll("figure.chart")) {
    const tools = make("div", "tools", "");
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", "Order of the bars");
    orders.forEach(([name, by, down], index) => {
      const button = make("button", "", name);
      button.type = "button";
      button.setAttribute("aria-pressed", String(index === 0));
      button.addEventListener("click", () => {
        for (const other of tools.children) other.setAttribute("aria-pressed", String(other === button));
        const keyed = [...chart.querySelectorAll("svg.layer")].map((bar) => [by(bar), bar]);
        keyed.sort((a, b) => compare(a[0], b[0], down));
        place(keyed.map(([, bar]) => bar));
      });
      tools.append(button);
    });
    chart.prepend(tools);
  }

  const tip = make("div", "tip", "");
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let marked = [];
  const mark = (...elements) => {
    marked.forEach((element) => element.classList.remove("marked"));
    marked = elements.filter(Boolean);
    marked.forEach((element) => element.classList.add("marked"));
  };

  const fill = (row) => {
    const list = make("dl", "", "");
    for (const cell of [...row.cells].slice(1)) {
      const text = cell.innerText.trim().replace(/\s+/g, " ");
      if (text && text !== "–") {
        list.append(make("dt", "", cell.dataset.label), make("dd", "", text));
      }
    }
    const said = (selector) => row.cells[0].querySelector(selector)?.textContent ?? "";
    tip.replaceChildren(
      make("strong", "", said("code")), make("small", "", said("small")), list,
      make("p", "reason", said(".reason")));
  };
  const show = (bar, x, y) => {
    const row = document.getElementById(bar.dataset.row);
    if (!row) return;
    if (!marked.includes(bar)) {
      fill(row);
      mark(bar, row);
    }
    tip.hidden = false;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const below = y + 18 + tip.offsetHeight > innerHeight;
    tip.style.left = `${Math.max(8, Math.min(x + 14, room))}px`;
    tip.style.top = `${Math.max(8, below ? y - 18 - tip.offsetHeight : y + 18)}px`;
  };
  const hide = () => {
    tip.hidden = true;
    mark();
  };

  for (const chart of document.querySelectorAll("svg.layers")) {
    // The browser's own tooltip would stand on top of ours.
    chart.querySelectorAll("title").forEach((title) => title.remove());
    const move = (event) => {
      const bar = event.target.closest("svg.layer");
      if (bar) show(bar, event.clientX, event.clientY);
    };
    chart.addEventListener("pointermove", move);
    chart.addEventListener("pointerdown", move);
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("click", (event) => {
      const bar = event.target.closest("svg.layer");
      const row = bar && document.getElementById(bar.dataset.row);
      const scroll = row && row.closest(".scroll");
      if (scroll) scroll.scrollTop = row.offsetTop - scroll.clientHeight / 2;
    });
  }
  addEventListener("scroll", hide, { passive: true });
})();

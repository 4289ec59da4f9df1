// Parts of pages: intervals as pictures, tables that sort, lists of any length, choices.
"use strict";

(() => {
  const { el, svg } = RE;

  // An interval on the scale of its column; the words are with the number next to it.
  RE.bar = (entry, scale) => {
    const width = 84;
    if (!entry || entry.mean === null || entry.mean === undefined || !(scale[1] > scale[0])) return null;
    const at = (value) =>
      3 + ((Math.min(Math.max(value, scale[0]), scale[1]) - scale[0]) / (scale[1] - scale[0])) * (width - 6);
    const has = entry.low !== null && entry.low !== undefined;
    return svg(
      "svg",
      { class: "bar", viewBox: `0 0 ${width} 10`, width, height: 10, "aria-hidden": "true" },
      svg("line", { class: "axis", x1: 3, x2: width - 3, y1: 5, y2: 5 }),
      has && svg("line", { class: "range", x1: at(entry.low), x2: at(entry.high), y1: 5, y2: 5 }),
      svg("circle", { class: "dot", cx: at(entry.mean), cy: 5, r: 2.6 }),
    );
  };
  RE.scaleOf = (entries) => {
    const ends = entries
      .filter(Boolean)
      .flatMap((e) => [e.mean, e.low, e.high])
      .filter((v) => typeof v === "number");
    return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 0];
  };

  // A table that may be wider than the page: its right edge fades where more columns follow.
  const scrolled = (label, table) => {
    const box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
    const look = () => box.toggleAttribute("data-more", box.scrollWidth - box.clientWidth - box.scrollLeft > 24);
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
    return box;
  };

  // A table that a click sorts anew: its order is a part of the address.
  RE.sortable = (table) => {
    const box = el("div", {});
    const paint = (sort) =>
      RE.replace(
        box,
        RE.table({
          ...table,
          sort,
          onSort: (next) => {
            RE.here({ sort: next }, { replace: true });
            paint(next);
            const again = box.querySelector("[aria-sort] button");
            if (again) again.focus();
          },
        }),
      );
    paint(table.sort);
    return box;
  };

  // A table whose columns sort: columns are {key, head, title, numeric, lower, value(row), cell(row)}.
  RE.table = ({ columns, rows, caption, sort, onSort, className, rowClass }) => {
    const [by, direction] = (sort || "").split(":");
    const chosen = columns.find((column) => column.key === by);
    const order = [...rows];
    if (chosen) {
      const sign = direction === "asc" ? 1 : -1;
      order.sort((a, b) => {
        const [x, y] = [chosen.value(a), chosen.value(b)];
        const [noX, noY] = [x === null || x === undefined, y === null || y === undefined];
        if (noX || noY) return noX - noY;
        return typeof x === "number" && typeof y === "number"
          ? sign * (x - y)
          : sign * String(x).localeCompare(String(y));
      });
    }
    const head = columns.map((column, place) => {
      const isChosen = column === chosen;
      const next = isChosen ? (direction === "asc" ? "desc" : "asc") : column.lower || !column.numeric ? "asc" : "desc";
      return el(
        "th",
        {
          scope: "col",
          class: [column.numeric ? "num" : "", place === 0 ? "first" : ""].join(" ").trim() || undefined,
          "aria-sort": isChosen ? (direction === "asc" ? "ascending" : "descending") : undefined,
        },
        column.value && onSort
          ? el(
              "button",
              { type: "button", title: column.title, on: { click: () => onSort(`${column.key}:${next}`) } },
              el(
                "span",
                { class: "order", "aria-hidden": "true" },
                isChosen ? (direction === "asc" ? "▲ " : "▼ ") : "",
              ),
              column.head,
            )
          : el("span", { title: column.title }, column.head),
      );
    });
    const body = order.map((row) =>
      el(
        "tr",
        { class: rowClass && rowClass(row) },
        columns.map((column, place) =>
          el(
            place === 0 ? "th" : "td",
            {
              scope: place === 0 ? "row" : undefined,
              class:
                [column.numeric ? "num" : "", place === 0 ? "first" : "", (column.mark && column.mark(row)) || ""]
                  .join(" ")
                  .trim() || undefined,
            },
            column.cell(row),
          ),
        ),
      ),
    );
    return scrolled(
      caption,
      el(
        "table",
        { class: className || "results" },
        el("caption", { class: "hide" }, caption),
        el("thead", {}, el("tr", {}, head)),
        el("tbody", {}, body),
      ),
    );
  };

  // A report's own table: every cell is its lines.
  RE.plainTable = (table) =>
    scrolled(
      table.title,
      el(
        "table",
        { class: "results" },
        el("caption", { class: "hide" }, table.title),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            table.columns.map((name, place) => el("th", { scope: "col", class: place ? "num" : "first" }, name)),
          ),
        ),
        el(
          "tbody",
          {},
          table.rows.map((row) =>
            el(
              "tr",
              {},
              row.map((lines, place) =>
                el(
                  place ? "td" : "th",
                  { scope: place ? undefined : "row", class: place ? "num" : "first" },
                  lines.map((line, number) => el(number ? "small" : "span", { class: "line" }, line)),
                ),
              ),
            ),
          ),
        ),
      ),
    );

  RE.select = ({ label, value, options, onChange }) => {
    const box = el(
      "select",
      { on: { change: (event) => onChange(event.target.value) } },
      options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)),
    );
    return el("label", { class: "field" }, el("span", {}, label), box);
  };
  RE.checks = ({ label, chosen, options, onChange }) =>
    el(
      "details",
      { class: "menu" },
      el("summary", {}, label),
      el(
        "div",
        { class: "sheet" },
        options.map(([key, text, title]) =>
          el(
            "label",
            { title },
            el("input", {
              type: "checkbox",
              value: key,
              checked: chosen.includes(key),
              on: {
                change: (event) =>
                  onChange(event.target.checked ? [...chosen, key] : chosen.filter((each) => each !== key)),
              },
            }),
            " ",
            text,
          ),
        ),
      ),
    );
  RE.searchField = ({ label, value, onInput }) => {
    let timer = 0;
    return el(
      "label",
      { class: "field" },
      el("span", {}, label),
      el("input", {
        type: "search",
        value: value || "",
        autocomplete: "off",
        on: {
          input: (event) => {
            clearTimeout(timer);
            timer = setTimeout(() => onInput(event.target.value), 80);
          },
        },
      }),
    );
  };
  RE.button = (text, click, title, name) =>
    el("button", { type: "button", class: name || "plain", title, on: { click } }, text);

  // A list of any length: only rows in sight are elements. `draw(item, place)` makes a row's contents; all have one height.
  RE.list = ({ items, height, draw, label, onOpen, onMove, start = 0, name = "" }) => {
    const space = el("div", { class: "space" });
    const box = el("div", { class: `list ${name}`, tabindex: "0", role: "region", "aria-label": label }, space);
    let current = Math.min(start, Math.max(items.length - 1, 0));
    let drawn = [-1, -1];
    const paint = (force) => {
      const first = Math.max(0, Math.floor(box.scrollTop / height) - 6);
      const last = Math.min(items.length, Math.ceil((box.scrollTop + (box.clientHeight || 600)) / height) + 6);
      if (!force && first === drawn[0] && last === drawn[1]) return;
      drawn = [first, last];
      RE.replace(
        space,
        items.slice(first, last).map((item, offset) => {
          const place = first + offset;
          const row = el(
            "div",
            {
              class: place === current ? "item current" : "item",
              data: { place: String(place) },
              on: { click: () => move(place, true) },
            },
            draw(item, place),
          );
          row.style.top = `${place * height}px`;
          row.style.height = `${height}px`;
          return row;
        }),
      );
    };
    const show = () => {
      const top = current * height;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
    };
    const move = (place, quiet) => {
      if (!items.length) return;
      current = Math.min(Math.max(place, 0), items.length - 1);
      if (!quiet) show();
      paint(true);
      if (onMove) onMove(items[current], current);
    };
    space.style.height = `${items.length * height}px`;
    box.addEventListener("scroll", () => paint(false), { passive: true });
    requestAnimationFrame(() => {
      show();
      paint(true);
    });
    RE.keys = {
      j: () => move(current + 1),
      ArrowDown: () => move(current + 1),
      k: () => move(current - 1),
      ArrowUp: () => move(current - 1),
      Home: () => move(0),
      End: () => move(items.length - 1),
      Enter: () => items.length && onOpen && onOpen(items[current], current),
    };
    return { node: box, move, place: () => current };
  };

  RE.fold = (title, body, open = false) => {
    // The contents are made when they are first opened: long texts that nobody reads cost nothing.
    const details = el("details", { class: "fold", open }, el("summary", {}, title));
    const fill = () => {
      if (details.open && details.children.length === 1) details.append(el("div", { class: "inside" }, body()));
    };
    details.addEventListener("toggle", fill);
    if (open) fill();
    return details;
  };
  RE.crumbs = (...steps) =>
    el(
      "nav",
      { class: "crumbs", "aria-label": "Where this is" },
      steps.map(([text, href], place) => [
        place > 0 && " › ",
        href ? el("a", { href }, text) : el("span", { "aria-current": "page" }, text),
      ]),
    );
})();

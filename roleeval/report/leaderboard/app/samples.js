// A run's samples as a list that is searched, ordered and narrowed down.
"use strict";

(() => {
  const { el } = RE;

  RE.sampleList = (run, set, { about, rows, place, found, info, metric, group, query }) => {
    const falling = info && info.higher_is_better === false;
    const box = el("div", {});
    const state = {
      q: query.q || "",
      status: query.status || "",
      only: query.only || "",
      sort: query.order || "worst",
    };
    const chosen = () => {
      const needle = state.q.toLowerCase();
      const role = query.role ? about.roles.findIndex((each) => each.name === query.role) : -1;
      const list = [];
      for (let index = 0; index < rows.length; index += 1) {
        const row = rows[index];
        if (!found.inGroup[index] || (role >= 0 && row[place.role] !== role)) continue;
        if (state.status && about.statuses[row[place.status]] !== state.status && found.odd[index] !== state.status)
          continue;
        if (state.only === "found" && !row[place.found]) continue;
        if (state.only === "flips" && !row[place.flips]) continue;
        if (state.only === "missing" && found.values[index] !== null) continue;
        if (
          needle &&
          !`${row[place.id]} ${about.roles[row[place.role]].name} ${row[place.question]} ${row[place.answer]}`
            .toLowerCase()
            .includes(needle)
        )
          continue;
        list.push(index);
      }
      if (state.sort !== "order") {
        const sign = (state.sort === "worst" ? 1 : -1) * (falling ? -1 : 1);
        // Where values are equal, what a judge objects to comes first.
        list.sort((a, b) => {
          const [x, y] = [found.values[a], found.values[b]];
          if (x === null || y === null) return (x === null) - (y === null);
          return sign * (x - y) || rows[b][place.found] - rows[a][place.found] || a - b;
        });
      }
      return list;
    };
    const open = (index) => {
      location.hash = RE.link(["sample", ...RE.runPath(run), rows[index][place.id]], { metric, group });
    };
    const head = el("p", { class: "label", role: "status" });
    const paint = () => {
      const items = chosen();
      RE.walk = { run: run.key, ids: items.map((index) => rows[index][place.id]) };
      head.textContent = `${RE.count(items.length, "sample", "samples")}${query.role ? ` of ${query.role}` : ""}. Keys: j and k move, Enter opens.`;
      const list = RE.list({
        items,
        height: 62,
        label: "List of samples",
        onOpen: open,
        draw: (index) => {
          const row = rows[index];
          const status =
            found.odd[index] || (about.statuses[row[place.status]] !== "ok" ? about.statuses[row[place.status]] : "");
          return [
            el("span", { class: "num" }, RE.number(info, found.values[index])),
            el(
              "span",
              { class: "what" },
              el(
                "a",
                { href: RE.link(["sample", ...RE.runPath(run), row[place.id]], { metric, group }), dir: "auto" },
                row[place.answer] || row[place.question] || row[place.id],
              ),
              el(
                "small",
                { class: "line", dir: "auto" },
                `${about.roles[row[place.role]].name} · ${row[place.question] || row[place.id]}`,
              ),
            ),
            el(
              "span",
              { class: "flags" },
              row[place.found] > 0 && el("span", { class: "flag" }, RE.count(row[place.found], "quote", "quotes")),
              row[place.flips] > 0 && el("span", { class: "flag" }, "flip"),
              status && el("span", { class: "flag status", title: RE.statusWords(status) }, status.replace(/_/g, " ")),
            ),
          ];
        },
      });
      RE.replace(box, items.length ? list.node : el("p", { class: "wait" }, "No sample matches."));
    };
    const change = (changes) => {
      Object.assign(state, changes);
      RE.here(
        { q: state.q, status: state.status, only: state.only, order: state.sort === "worst" ? "" : state.sort },
        { replace: true },
      );
      paint();
    };
    paint();
    const statuses = [...new Set([...about.statuses, ...Object.values(found.odd)])].filter((each) => each !== "ok");
    const shownRows = () =>
      chosen().map((index) => ({
        benchmark: set.title,
        run: run.run,
        sample: rows[index][place.id],
        split: about.splits[rows[index][place.split]],
        cluster: about.clusters[rows[index][place.cluster]],
        role: about.roles[rows[index][place.role]].name,
        metric,
        group,
        value: found.values[index],
        status: found.odd[index] || about.statuses[rows[index][place.status]],
      }));
    return el(
      "section",
      { "aria-label": "Samples" },
      el("h2", {}, "Samples"),
      el(
        "div",
        { class: "filters" },
        RE.searchField({ label: "Find", value: state.q, onInput: (value) => change({ q: value }) }),
        RE.select({
          label: "Order",
          value: state.sort,
          options: [
            ["worst", "worst first"],
            ["best", "best first"],
            ["order", "as in the data"],
          ],
          onChange: (value) => change({ sort: value }),
        }),
        RE.select({
          label: "Show",
          value: state.only,
          options: [
            ["", "all"],
            ["found", "quoted by a judge"],
            ["flips", "contradictory comparisons"],
            ["missing", "without a value"],
          ],
          onChange: (value) => change({ only: value }),
        }),
        statuses.length > 0 &&
          RE.select({
            label: "Status",
            value: state.status,
            options: [["", "all"], ...statuses.map((each) => [each, each.replace(/_/g, " ")])],
            onChange: (value) => change({ status: value }),
          }),
      ),
      head,
      box,
      el("p", { class: "row" }, RE.saveButtons(run.run.replace(/[^\w-]+/g, "_"), shownRows)),
    );
  };
})();

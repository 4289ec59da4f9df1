// The leaderboard over all benchmarks.
"use strict";

(() => {
  const { el } = RE;

  RE.homePage = async (query) => {
    const sets = RE.index.sets;
    const families = [...new Set(sets.flatMap((set) => set.rows.map((row) => row.family)))].sort();
    const languages = [...new Set(sets.flatMap((set) => set.groups.flatMap((group) => group.languages)))].sort();
    // Of each headline group the metric that represents the benchmark, and the one that represents its judge.
    const cells = sets.flatMap((set) =>
      set.groups
        .filter((group) => group.headline && (!query.language || group.languages.includes(query.language)))
        .flatMap((group) => {
          const usable = set.headline.filter(
            (name) =>
              set.info.get(name).higher_is_better !== null &&
              set.rows.some((row) => RE.entry(set, row.entries, name, group.name)),
          );
          const primary = usable.filter((name) => set.info.get(name).primary);
          const chosen = [
            primary.find((name) => !set.info.get(name).judged),
            primary.find((name) => set.info.get(name).judged),
          ].filter(Boolean);
          return (chosen.length ? chosen : usable.slice(0, 1)).map((metric) => ({ set, metric, group }));
        }),
    );
    // A model is one row over all benchmarks; where a set has it several times, its rows have their full names.
    const models = new Map();
    for (const set of sets) {
      for (const row of set.rows) {
        const isAlone =
          set.rows.filter((other) => other.model === row.model && other.family === row.family).length === 1;
        const label = isAlone ? row.model : row.label;
        const key = `${row.family}\n${label}`;
        if (!models.has(key)) models.set(key, { label, family: row.family, rows: new Map(), any: { ...row, label } });
        models.get(key).rows.set(set, row);
      }
    }
    const search = (query.q || "").toLowerCase();
    const rows = [...models.values()].filter(
      (each) =>
        (!query.family || each.family === query.family) &&
        (!search || `${each.label} ${each.family}`.toLowerCase().includes(search)),
    );
    const entryOf = (model, cell) =>
      model.rows.has(cell.set)
        ? RE.entry(cell.set, model.rows.get(cell.set).entries, cell.metric, cell.group.name)
        : null;
    const columns = [
      {
        key: "model",
        head: "Model",
        value: (model) => model.label,
        cell: (model) => RE.modelCell(model.any),
      },
      ...cells.map((cell) => {
        const info = cell.set.info.get(cell.metric);
        const scale = RE.scaleOf(rows.map((model) => entryOf(model, cell)));
        return {
          key: `${cell.set.key}/${cell.group.name}/${cell.metric}`,
          numeric: true,
          lower: info.higher_is_better === false,
          head: [
            el("span", { class: "line" }, cell.set.title),
            el(
              "small",
              { class: "line" },
              `${RE.groupLabel(cell.set, cell.group.name)} · ${RE.metricLabel(cell.set, cell.metric)} ${RE.arrow(info)}`,
            ),
          ],
          title: info.recipe,
          value: (model) => (entryOf(model, cell) || {}).mean,
          cell: (model) =>
            model.rows.has(cell.set)
              ? RE.valueCell(
                  cell.set,
                  model.rows.get(cell.set),
                  cell.set.rows.indexOf(model.rows.get(cell.set)),
                  cell.metric,
                  cell.group.name,
                  entryOf(model, cell),
                  scale,
                )
              : el("span", { class: "none" }, "not run"),
          mark: (model) =>
            model.rows.has(cell.set)
              ? RE.standingClass(cell.set, cell.metric, cell.group.name)(model.rows.get(cell.set))
              : "",
        };
      }),
    ];
    const table = RE.sortable({ columns, rows, caption: "All benchmarks", sort: query.sort || "model:asc" });
    const shownRows = () =>
      rows.flatMap((model) =>
        cells
          .filter((cell) => model.rows.has(cell.set))
          .map((cell) => {
            const entry = entryOf(model, cell) || {};
            return {
              benchmark: cell.set.title,
              model: model.label,
              family: model.family,
              metric: cell.metric,
              group: cell.group.name,
              mean: entry.mean,
              ci_low: entry.low,
              ci_high: entry.high,
              n: entry.n,
              missing: entry.missing,
            };
          }),
      );
    return [
      el("h1", {}, "Leaderboard"),
      el(
        "p",
        { class: "lead" },
        "Role-playing models, measured. Every number leads to the answers it is made of, and to the words that a judge objected to.",
      ),
      el(
        "div",
        { class: "filters" },
        families.length > 1 &&
          RE.select({
            label: "Family",
            value: query.family || "",
            options: [["", "all"], ...families.map((each) => [each, each || "none"])],
            onChange: (value) => RE.here({ family: value }),
          }),
        languages.length > 1 &&
          RE.select({
            label: "Language",
            value: query.language || "",
            options: [["", "all"], ...languages.map((each) => [each, RE.languageName(each)])],
            onChange: (value) => RE.here({ language: value }),
          }),
        RE.searchField({ label: "Model", value: query.q, onInput: (value) => RE.here({ q: value }) }),
      ),
      rows.length ? table : el("p", { class: "wait" }, "No model matches these filters."),
      RE.standingKey(),
      el("p", { class: "row" }, RE.saveButtons("leaderboard", shownRows)),
      el(
        "div",
        { class: "cards" },
        sets.map((set) =>
          el(
            "a",
            { class: "card", href: RE.link(["board", set.key]) },
            el("h2", {}, set.title),
            el(
              "p",
              {},
              `${RE.count(set.rows.length, "model", "models")}, ${RE.count(set.metrics.length, "metric", "metrics")}${set.published.length ? `, ${RE.count(set.published.length, "published table", "published tables")}` : ""}`,
            ),
            set.difference && el("p", { class: "label" }, set.difference),
          ),
        ),
      ),
      RE.index.notShown.length > 0 &&
        RE.fold(`${RE.count(RE.index.notShown.length, "folder", "folders")} not shown, and why`, () =>
          el(
            "ul",
            { class: "notes" },
            RE.index.notShown.map((each) => el("li", {}, el("code", {}, each.path), `: ${each.reason}`)),
          ),
        ),
    ];
  };
})();

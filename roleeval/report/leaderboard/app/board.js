// The leaderboards: of a benchmark, and of all benchmarks together.
"use strict";

(() => {
  const { el } = RE;

  const SIGNS = { "not separable": "≈", "too few clusters": "?" };
  const valueCell = (set, row, place, metric, group, entry, scale) => {
    const info = set.info.get(metric);
    const standing = RE.standing(set, metric, group, place);
    const words = `${RE.metricLabel(set, metric)}, ${row.label}: ${RE.entryWords(set, info, entry)}${standing ? `; ${RE.STANDING_WORDS[standing]}` : ""}`;
    if (!entry || entry.mean === null || entry.mean === undefined) return el("span", { class: "none", title: words }, "–");
    const run = RE.index.runs[row.runs[0]];
    const half = entry.low === null || entry.low === undefined ? "" : `${RE.number(info, entry.low)} to ${RE.number(info, entry.high)}`;
    return el("a", { class: "value", href: RE.link(["run", ...RE.runPath(run)], { metric, group }), title: words },
      el("span", { class: standing === "best" ? "mean best" : "mean" }, RE.number(info, entry.mean), standing in SIGNS ? el("span", { class: "near" }, SIGNS[standing]) : ""),
      el("small", { class: "line" }, [half, entry.missing && `${entry.missing} missing`].filter(Boolean).join(" · ")),
      RE.bar(entry, scale), el("span", { class: "hide" }, words));
  };
  const standingClass = (set, metric, group) => (row) => {
    const standing = RE.standing(set, metric, group, set.rows.indexOf(row));
    return standing === "best" ? "is-best" : standing === "not separable" ? "is-near" : "";
  };
  const modelCell = (row) => {
    const run = RE.index.runs[row.runs[0]];
    return [el("a", { href: RE.link(["run", ...RE.runPath(run)]) }, row.label), el("small", { class: "line" }, [row.family, row.runs.length > 1 && `${row.runs.length} seeds`].filter(Boolean).join(", "))];
  };

  const NEAR = () => el("p", { class: "key" }, el("span", { class: "swatch is-best" }), " best ", el("span", { class: "swatch is-near" }), " ≈ not separable from the best (paired test over the same samples, Holm-corrected) · ? too few clusters for that test to tell anything · lines are 95 % intervals");

  RE.boardPage = async (key, query) => {
    const set = RE.setOf(key);
    if (!set) throw new Error(`There is no benchmark ${key} in these results.`);
    const all = await RE.load(`s${set.number}`);
    const families = [...new Set(set.rows.map((row) => row.family))].sort();
    const languages = [...new Set(set.groups.flatMap((group) => group.languages))].sort();
    const judges = RE.judges(set);
    const groups = set.groups.filter((group) => !query.language || group.languages.includes(query.language));
    const group = groups.some((each) => each.name === query.group) ? query.group : (groups.find((each) => each.headline) || groups[0] || { name: "" }).name;
    const entryOf = (row, metric) => RE.entry(set, all[set.rows.indexOf(row)], metric, group);
    const usable = set.metrics.map((info) => info.name).filter((name) => set.rows.some((row) => entryOf(row, name)));
    const ofJudge = (name) => !query.judge || (query.judge === "none" ? RE.judgeOf(name)[0] === "" : RE.judgeOf(name)[0] === query.judge);
    const chosen = query.metrics ? query.metrics.split(" ").filter((name) => usable.includes(name)) : set.headline.filter((name) => usable.includes(name) && ofJudge(name));
    const shownMetrics = chosen.filter((name) => set.info.get(name).read_with.every((other) => chosen.includes(other)));
    const search = (query.q || "").toLowerCase();
    const rows = set.rows.filter((row) => (!query.family || row.family === query.family) && (!search || `${row.label} ${row.family}`.toLowerCase().includes(search)));
    const main = RE.mainMetric(set);
    const sort = query.sort || (shownMetrics.includes(main) ? `${main}:${set.info.get(main).higher_is_better === false ? "asc" : "desc"}` : "model:asc");

    const columns = [
      { key: "model", head: "Model", value: (row) => row.label, cell: modelCell },
      ...(set.rows.some((row) => row.parameters.adapters) ? [
        { key: "adapters", head: "Adapter parameters", numeric: true, value: (row) => row.parameters.adapters, cell: (row) => RE.millions(row.parameters.adapters) },
        { key: "role", head: "Per added role", numeric: true, lower: true, value: (row) => row.parameters.per_added_role, cell: (row) => RE.millions(row.parameters.per_added_role) }] : []),
      ...shownMetrics.map((metric) => {
        const info = set.info.get(metric);
        const scale = RE.scaleOf(rows.map((row) => entryOf(row, metric)));
        return {
          key: metric, numeric: true, lower: info.higher_is_better === false,
          head: [RE.metricLabel(set, metric), el("small", { class: "line" }, [RE.unitWords(info), RE.better(info)].filter(Boolean).join(", "))],
          title: `${info.recipe}${info.caution ? ` ${info.label} ${info.caution}` : ""}`,
          value: (row) => (entryOf(row, metric) || {}).mean,
          cell: (row) => valueCell(set, row, set.rows.indexOf(row), metric, group, entryOf(row, metric), scale),
          mark: standingClass(set, metric, group),
        };
      }),
    ];
    const shownRows = () => rows.flatMap((row) => shownMetrics.map((metric) => {
      const entry = entryOf(row, metric) || {};
      return { benchmark: set.title, model: row.label, family: row.family, run: RE.index.runs[row.runs[0]].run, metric, group, mean: entry.mean, ci_low: entry.low, ci_high: entry.high, n: entry.n, missing: entry.missing, clusters: entry.clusters, method: entry.method, standing: RE.standing(set, metric, group, set.rows.indexOf(row)) };
    }));
    const table = el("div", {});
    const paint = (by) => RE.replace(table, RE.table({ columns, rows, caption: `${set.title}, ${RE.groupLabel(set, group)}`, sort: by, onSort: (next) => { RE.here({ sort: next }, { replace: true }); paint(next); const again = table.querySelector("[aria-sort] button"); if (again) again.focus(); } }));
    paint(sort);

    const filters = el("div", { class: "filters" },
      RE.select({ label: "Samples", value: group, options: groups.map((each) => [each.name, RE.groupLabel(set, each.name)]), onChange: (value) => RE.here({ group: value }) }),
      languages.length > 1 && RE.select({ label: "Language", value: query.language || "", options: [["", "all"], ...languages.map((each) => [each, RE.languageName(each)])], onChange: (value) => RE.here({ language: value, group: "" }) }),
      families.length > 1 && RE.select({ label: "Family", value: query.family || "", options: [["", "all"], ...families.map((each) => [each, each || "none"])], onChange: (value) => RE.here({ family: value }) }),
      judges.length > 0 && RE.select({ label: "Judge", value: query.judge || "", options: [["", "all metrics"], ["none", "without a judge"], ...judges.map((each) => [each, each.replace(/^judge\//, "")])], onChange: (value) => RE.here({ judge: value, metrics: "" }) }),
      RE.searchField({ label: "Model", value: query.q, onInput: (value) => RE.here({ q: value }) }),
      RE.checks({ label: `Columns (${shownMetrics.length} of ${usable.length})`, chosen: shownMetrics, options: usable.map((name) => [name, RE.metricLabel(set, name), set.info.get(name).recipe]), onChange: (names) => RE.here({ metrics: names.join(" ") }) }));
    const runs = rows.flatMap((row) => row.runs.map((number) => RE.index.runs[number]));
    const pair = rows.slice(0, 2).map((row) => RE.index.runs[row.runs[0]]);
    return [
      RE.crumbs(["Leaderboard", "#/"], [set.title]),
      el("h1", {}, set.title),
      set.difference && el("p", { class: "warn" }, set.difference),
      el("p", { class: "lead" }, `${RE.count(set.rows.length, "model", "models")}, ${set.intervals}.`),
      filters,
      rows.length ? table : el("p", { class: "wait" }, "No model matches these filters."),
      NEAR(),
      el("p", { class: "row" }, RE.saveButtons(`${set.key}-${group}`.replace(/[^\w-]+/g, "_"), shownRows), RE.citeButton(set, runs),
        pair.length === 2 && el("a", { class: "plain", href: RE.link(["differ", set.key], { a: pair[0].key, b: pair[1].key, group }) }, "Where do models differ most?"),
        el("a", { class: "plain", href: RE.link(["label", set.key]) }, "Rate answers yourself")),
      shownMetrics.some((name) => set.info.get(name).caution) && el("ul", { class: "notes" }, shownMetrics.filter((name) => set.info.get(name).caution).map((name) => el("li", {}, `${RE.metricLabel(set, name)} ${set.info.get(name).caution}`))),
      Object.keys(set.judges).length > 0 && el("ul", { class: "notes" }, Object.entries(set.judges).map(([name, words]) => el("li", {}, el("b", {}, name.replace(/^judge\//, "")), `: ${words}`))),
      set.ratings.length > 0 && [el("h2", {}, "Ratings by comparison"), set.ratings.map((each) => [el("h3", {}, each.title), el("p", { class: "lead" }, each.caption), RE.plainTable(each), el("ul", { class: "notes" }, each.notes.map((note) => el("li", {}, note)))])],
      set.published.length > 0 && el("section", { class: "published" }, el("h2", {}, "Reported elsewhere, not measured here"),
        set.published.map((each) => RE.fold(each.title.replace(/^Reported elsewhere: /, ""), () => [el("p", { class: "lead" }, each.caption), RE.plainTable(each), el("ul", { class: "notes" }, each.notes.map((note) => el("li", {}, note)))], set.published.length === 1))),
      RE.fold("How this was measured", () => el("p", {}, set.caption)),
    ];
  };

  RE.homePage = async (query) => {
    const sets = RE.index.sets;
    const families = [...new Set(sets.flatMap((set) => set.rows.map((row) => row.family)))].sort();
    const languages = [...new Set(sets.flatMap((set) => set.groups.flatMap((group) => group.languages)))].sort();
    // Of each headline group the metric that represents the benchmark, and the one that represents its judge.
    const cells = sets.flatMap((set) => set.groups.filter((group) => group.headline && (!query.language || group.languages.includes(query.language))).flatMap((group) => {
      const usable = set.headline.filter((name) => set.info.get(name).higher_is_better !== null && set.rows.some((row) => RE.entry(set, row.entries, name, group.name)));
      const primary = usable.filter((name) => set.info.get(name).primary);
      const chosen = [primary.find((name) => !set.info.get(name).judged), primary.find((name) => set.info.get(name).judged)].filter(Boolean);
      return (chosen.length ? chosen : usable.slice(0, 1)).map((metric) => ({ set, metric, group }));
    }));
    // A model is one row over all benchmarks; where a set has it several times, its rows have their full names.
    const models = new Map();
    for (const set of sets) {
      for (const row of set.rows) {
        const isAlone = set.rows.filter((other) => other.model === row.model && other.family === row.family).length === 1;
        const label = isAlone ? row.model : row.label;
        const key = `${row.family}\n${label}`;
        if (!models.has(key)) models.set(key, { label, family: row.family, rows: new Map(), any: { ...row, label } });
        models.get(key).rows.set(set, row);
      }
    }
    const search = (query.q || "").toLowerCase();
    const rows = [...models.values()].filter((each) => (!query.family || each.family === query.family) && (!search || `${each.label} ${each.family}`.toLowerCase().includes(search)));
    const entryOf = (model, cell) => model.rows.has(cell.set) ? RE.entry(cell.set, model.rows.get(cell.set).entries, cell.metric, cell.group.name) : null;
    const columns = [
      { key: "model", head: "Model", value: (model) => `${model.family} ${model.label}`, cell: (model) => modelCell(model.any) },
      ...cells.map((cell) => {
        const info = cell.set.info.get(cell.metric);
        const scale = RE.scaleOf(rows.map((model) => entryOf(model, cell)));
        return {
          key: `${cell.set.key}/${cell.group.name}/${cell.metric}`, numeric: true, lower: info.higher_is_better === false,
          head: [el("span", { class: "line" }, cell.set.title), el("small", { class: "line" }, `${RE.groupLabel(cell.set, cell.group.name)} · ${RE.metricLabel(cell.set, cell.metric)} ${RE.arrow(info)}`)],
          title: info.recipe,
          value: (model) => (entryOf(model, cell) || {}).mean,
          cell: (model) => model.rows.has(cell.set) ? valueCell(cell.set, model.rows.get(cell.set), cell.set.rows.indexOf(model.rows.get(cell.set)), cell.metric, cell.group.name, entryOf(model, cell), scale) : el("span", { class: "none" }, "not run"),
          mark: (model) => model.rows.has(cell.set) ? standingClass(cell.set, cell.metric, cell.group.name)(model.rows.get(cell.set)) : "",
        };
      }),
    ];
    const table = el("div", {});
    const paint = (by) => RE.replace(table, RE.table({ columns, rows, caption: "All benchmarks", sort: by, onSort: (next) => { RE.here({ sort: next }, { replace: true }); paint(next); const again = table.querySelector("[aria-sort] button"); if (again) again.focus(); } }));
    paint(query.sort || "model:asc");
    const shownRows = () => rows.flatMap((model) => cells.filter((cell) => model.rows.has(cell.set)).map((cell) => {
      const entry = entryOf(model, cell) || {};
      return { benchmark: cell.set.title, model: model.label, family: model.family, metric: cell.metric, group: cell.group.name, mean: entry.mean, ci_low: entry.low, ci_high: entry.high, n: entry.n, missing: entry.missing };
    }));
    return [
      el("h1", {}, "Leaderboard"),
      el("p", { class: "lead" }, "Role-playing models, measured. Every number leads to the answers it is made of, and to the words that a judge objected to."),
      el("div", { class: "filters" },
        families.length > 1 && RE.select({ label: "Family", value: query.family || "", options: [["", "all"], ...families.map((each) => [each, each || "none"])], onChange: (value) => RE.here({ family: value }) }),
        languages.length > 1 && RE.select({ label: "Language", value: query.language || "", options: [["", "all"], ...languages.map((each) => [each, RE.languageName(each)])], onChange: (value) => RE.here({ language: value }) }),
        RE.searchField({ label: "Model", value: query.q, onInput: (value) => RE.here({ q: value }) })),
      rows.length ? table : el("p", { class: "wait" }, "No model matches these filters."),
      NEAR(),
      el("p", { class: "row" }, RE.saveButtons("leaderboard", shownRows)),
      el("div", { class: "cards" }, sets.map((set) => el("a", { class: "card", href: RE.link(["board", set.key]) }, el("h2", {}, set.title),
        el("p", {}, `${RE.count(set.rows.length, "model", "models")}, ${RE.count(set.metrics.length, "metric", "metrics")}${set.published.length ? `, ${RE.count(set.published.length, "published table", "published tables")}` : ""}`),
        set.difference && el("p", { class: "label" }, set.difference)))),
      RE.index.notShown.length > 0 && RE.fold(`${RE.count(RE.index.notShown.length, "folder", "folders")} not shown, and why`, () => el("ul", { class: "notes" }, RE.index.notShown.map((each) => el("li", {}, el("code", {}, each.path), `: ${each.reason}`)))),
    ];
  };
})();

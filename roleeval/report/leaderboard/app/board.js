// The leaderboard of one benchmark.
"use strict";

(() => {
  const { el } = RE;

  RE.boardPage = async (key, query) => {
    const set = RE.setOf(key);
    if (!set) throw new Error(`There is no benchmark ${key} in these results.`);
    const all = await RE.load(`s${set.number}`);
    const families = [...new Set(set.rows.map((row) => row.family))].sort();
    const languages = [...new Set(set.groups.flatMap((group) => group.languages))].sort();
    const judges = RE.judges(set);
    const groups = set.groups.filter((group) => !query.language || group.languages.includes(query.language));
    const group = groups.some((each) => each.name === query.group)
      ? query.group
      : (groups.find((each) => each.headline) || groups[0] || { name: "" }).name;
    const entryOf = (row, metric) => RE.entry(set, all[set.rows.indexOf(row)], metric, group);
    const usable = set.metrics.map((info) => info.name).filter((name) => set.rows.some((row) => entryOf(row, name)));
    const ofJudge = (name) =>
      !query.judge || (query.judge === "none" ? RE.judgeOf(name)[0] === "" : RE.judgeOf(name)[0] === query.judge);
    const chosen = query.metrics
      ? query.metrics.split(" ").filter((name) => usable.includes(name))
      : set.headline.filter((name) => usable.includes(name) && ofJudge(name));
    const shownMetrics = chosen.filter((name) => set.info.get(name).read_with.every((other) => chosen.includes(other)));
    const search = (query.q || "").toLowerCase();
    const rows = set.rows.filter(
      (row) =>
        (!query.family || row.family === query.family) &&
        (!search || `${row.label} ${row.family}`.toLowerCase().includes(search)),
    );
    const main = RE.mainMetric(set);
    const sort =
      query.sort ||
      (shownMetrics.includes(main)
        ? `${main}:${set.info.get(main).higher_is_better === false ? "asc" : "desc"}`
        : "model:asc");

    const columns = [
      { key: "model", head: "Model", value: (row) => row.label, cell: RE.modelCell },
      ...shownMetrics.map((metric) => {
        const info = set.info.get(metric);
        const scale = RE.scaleOf(rows.map((row) => entryOf(row, metric)));
        return {
          key: metric,
          numeric: true,
          lower: info.higher_is_better === false,
          head: [
            RE.metricLabel(set, metric),
            el("small", { class: "line" }, [RE.unitWords(info), RE.better(info)].filter(Boolean).join(", ")),
          ],
          title: `${info.recipe}${info.caution ? ` ${info.label} ${info.caution}` : ""}`,
          value: (row) => (entryOf(row, metric) || {}).mean,
          cell: (row) => RE.valueCell(set, row, set.rows.indexOf(row), metric, group, entryOf(row, metric), scale),
          mark: RE.standingClass(set, metric, group),
        };
      }),
      ...(set.rows.some((row) => row.parameters.adapters)
        ? [
            {
              key: "adapters",
              head: "Adapter parameters",
              numeric: true,
              value: (row) => row.parameters.adapters,
              cell: (row) => RE.millions(row.parameters.adapters),
            },
            {
              key: "role",
              head: "Per added role",
              numeric: true,
              lower: true,
              value: (row) => row.parameters.per_added_role,
              cell: (row) => RE.millions(row.parameters.per_added_role),
            },
          ]
        : []),
    ];
    const shownRows = () =>
      rows.flatMap((row) =>
        shownMetrics.map((metric) => {
          const entry = entryOf(row, metric) || {};
          return {
            benchmark: set.title,
            model: row.label,
            family: row.family,
            run: RE.index.runs[row.runs[0]].run,
            metric,
            group,
            mean: entry.mean,
            ci_low: entry.low,
            ci_high: entry.high,
            n: entry.n,
            missing: entry.missing,
            clusters: entry.clusters,
            method: entry.method,
            standing: RE.standing(set, metric, group, set.rows.indexOf(row)),
          };
        }),
      );
    const table = RE.sortable({ columns, rows, caption: `${set.title}, ${RE.groupLabel(set, group)}`, sort });

    const filters = el(
      "div",
      { class: "filters" },
      RE.select({
        label: "Samples",
        value: group,
        options: groups.map((each) => [each.name, RE.groupLabel(set, each.name)]),
        onChange: (value) => RE.here({ group: value }),
      }),
      languages.length > 1 &&
        RE.select({
          label: "Language",
          value: query.language || "",
          options: [["", "all"], ...languages.map((each) => [each, RE.languageName(each)])],
          onChange: (value) => RE.here({ language: value, group: "" }),
        }),
      families.length > 1 &&
        RE.select({
          label: "Family",
          value: query.family || "",
          options: [["", "all"], ...families.map((each) => [each, each || "none"])],
          onChange: (value) => RE.here({ family: value }),
        }),
      judges.length > 0 &&
        RE.select({
          label: "Judge",
          value: query.judge || "",
          options: [
            ["", "all metrics"],
            ["none", "without a judge"],
            ...judges.map((each) => [each, each.replace(/^judge\//, "")]),
          ],
          onChange: (value) => RE.here({ judge: value, metrics: "" }),
        }),
      RE.searchField({ label: "Model", value: query.q, onInput: (value) => RE.here({ q: value }) }),
      RE.checks({
        label: `Columns (${shownMetrics.length} of ${usable.length})`,
        chosen: shownMetrics,
        options: usable.map((name) => [name, RE.metricLabel(set, name), set.info.get(name).recipe]),
        onChange: (names) => RE.here({ metrics: names.join(" ") }),
      }),
    );
    const runs = rows.flatMap((row) => row.runs.map((number) => RE.index.runs[number]));
    const pair = rows.slice(0, 2).map((row) => RE.index.runs[row.runs[0]]);
    return [
      RE.crumbs(["Leaderboard", "#/"], [set.title]),
      el("h1", {}, set.title),
      set.difference && el("p", { class: "warn" }, set.difference),
      el("p", { class: "lead" }, `${RE.count(set.rows.length, "model", "models")}, ${set.intervals}.`),
      filters,
      rows.length ? table : el("p", { class: "wait" }, "No model matches these filters."),
      RE.standingKey(),
      el(
        "p",
        { class: "row" },
        RE.saveButtons(`${set.key}-${group}`.replace(/[^\w-]+/g, "_"), shownRows),
        RE.citeButton(set, runs),
        pair.length === 2 &&
          el(
            "a",
            { class: "plain", href: RE.link(["differ", set.key], { a: pair[0].key, b: pair[1].key, group }) },
            "Where do models differ most?",
          ),
        el("a", { class: "plain", href: RE.link(["label", set.key]) }, "Rate answers yourself"),
      ),
      shownMetrics.some((name) => set.info.get(name).caution) &&
        el(
          "ul",
          { class: "notes" },
          shownMetrics
            .filter((name) => set.info.get(name).caution)
            .map((name) => el("li", {}, `${RE.metricLabel(set, name)} ${set.info.get(name).caution}`)),
        ),
      Object.keys(set.judges).length > 0 &&
        el(
          "ul",
          { class: "notes" },
          Object.entries(set.judges).map(([name, words]) =>
            el("li", {}, el("b", {}, name.replace(/^judge\//, "")), `: ${words}`),
          ),
        ),
      set.ratings.length > 0 && [
        el("h2", {}, "Ratings by comparison"),
        set.ratings.map((each) => [
          el("h3", {}, each.title),
          el("p", { class: "lead" }, each.caption),
          RE.plainTable(each),
          el(
            "ul",
            { class: "notes" },
            each.notes.map((note) => el("li", {}, note)),
          ),
        ]),
      ],
      set.published.length > 0 &&
        el(
          "section",
          { class: "published" },
          el("h2", {}, "Reported elsewhere, not measured here"),
          set.published.map((each) =>
            RE.fold(
              each.title.replace(/^Reported elsewhere: /, ""),
              () => [
                el("p", { class: "lead" }, each.caption),
                RE.plainTable(each),
                el(
                  "ul",
                  { class: "notes" },
                  each.notes.map((note) => el("li", {}, note)),
                ),
              ],
              set.published.length === 1,
            ),
          ),
        ),
      RE.fold("How this was measured", () => el("p", {}, set.caption)),
    ];
  };
})();

// A model's page: its numbers, its roles, and its samples with the worst first.
"use strict";

(() => {
  const { el } = RE;

  RE.runPage = async ([benchmark, model, name], query) => {
    const run = RE.runOf(benchmark, model, name);
    if (!run || !run.set) throw new Error("This run is not among the results.");
    const { set } = run;
    const rowPlace = set.rows.findIndex((row) => row.runs.includes(run.number));
    const row = set.rows[rowPlace];
    const entries = (await RE.load(`s${set.number}`))[rowPlace];
    const group = set.groups.some((each) => each.name === query.group) ? query.group : RE.defaultGroup(set);
    const usable = set.metrics.map((info) => info.name).filter((each) => RE.entry(set, entries, each, group));
    const metric = usable.includes(query.metric)
      ? query.metric
      : usable.includes(RE.mainMetric(set))
        ? RE.mainMetric(set)
        : usable[0];
    const head = [
      RE.crumbs(
        ["Leaderboard", "#/"],
        [set.title, RE.link(["board", set.key])],
        query.role ? [RE.runLabel(run), RE.link(["run", ...RE.runPath(run)], { metric, group })] : [RE.runLabel(run)],
        ...(query.role ? [[query.role]] : []),
      ),
      el(
        "h1",
        {},
        query.role ? [query.role, el("span", { class: "label" }, `played by ${RE.runLabel(run)}`)] : RE.runLabel(run),
        !query.role && el("span", { class: "label" }, run.family),
      ),
    ];
    if (run.trouble)
      return [
        ...head,
        el("p", { class: "warn" }, `The answers of this run are not shown: ${run.trouble}`),
        metricTable(run, row, rowPlace, entries, group, metric, usable),
      ];
    const info = set.info.get(metric);
    const { about, rows, place } = await RE.samples(run);
    const found = metric
      ? await RE.values(run, set, metric, group)
      : { values: [], odd: {}, inGroup: rows.map(() => true) };
    const persona = query.role && about.roles.find((each) => each.name === query.role);
    return [
      ...head,
      persona &&
        persona.description &&
        el(
          "section",
          { class: "persona" },
          el("h2", {}, persona.role || persona.name),
          RE.marked(persona.description, []),
        ),
      el(
        "div",
        { class: "filters" },
        RE.select({
          label: "Samples",
          value: group,
          options: set.groups.map((each) => [each.name, RE.groupLabel(set, each.name)]),
          onChange: (value) => RE.here({ group: value }),
        }),
        RE.select({
          label: "Metric",
          value: metric,
          options: usable.map((each) => [each, RE.metricLabel(set, each)]),
          onChange: (value) => RE.here({ metric: value }),
        }),
        row.runs.length > 1 &&
          RE.select({
            label: "Seed",
            value: run.key,
            options: row.runs.map((number) => [RE.index.runs[number].key, String(RE.index.runs[number].seed)]),
            onChange: (value) => {
              location.hash = RE.link(["run", ...RE.runPath(RE.index.runs.find((each) => each.key === value))], query);
            },
          }),
      ),
      metric &&
        el(
          "p",
          { class: "lead" },
          el("b", {}, RE.metricLabel(set, metric)),
          row.runs.length > 1 ? `, mean over ${row.runs.length} seeds` : "",
          `: ${RE.entryWords(set, info, RE.entry(set, entries, metric, group))}. `,
          info.recipe,
          RE.better(info) ? ` ${RE.better(info).replace(/^./, (c) => c.toUpperCase())}.` : "",
        ),
      el(
        "div",
        { class: "columns" },
        el(
          "div",
          { class: "wide" },
          RE.sampleList(run, set, { about, rows, place, found, info, metric, group, query }),
        ),
        el(
          "div",
          { class: "side" },
          !query.role && roleTable(run, set, { about, rows, place, found, info, metric, group }),
        ),
      ),
      !query.role &&
        RE.fold("All metrics of this run", () => metricTable(run, row, rowPlace, entries, group, metric, usable)),
      !query.role && RE.fold("How it was run", () => facts(run, about)),
      el(
        "p",
        { class: "row" },
        RE.citeButton(set, [run]),
        el(
          "a",
          { class: "plain", href: RE.link(["differ", set.key], { a: run.key, metric, group }) },
          "Compare with another model",
        ),
      ),
    ];
  };

  const metricTable = (run, row, rowPlace, entries, group, metric, usable) => {
    const { set } = run;
    return RE.table({
      caption: `Metrics of ${RE.runLabel(run)}`,
      rows: usable,
      rowClass: (name) => (name === metric ? "chosen" : undefined),
      columns: [
        {
          key: "metric",
          head: "Metric",
          cell: (name) =>
            el(
              "a",
              { href: RE.link(["run", ...RE.runPath(run)], { metric: name, group }), title: set.info.get(name).recipe },
              RE.metricLabel(set, name),
            ),
        },
        {
          key: "value",
          head: "Mean",
          numeric: true,
          cell: (name) => {
            const entry = RE.entry(set, entries, name, group);
            return [RE.number(set.info.get(name), entry.mean), " ", RE.arrow(set.info.get(name))];
          },
        },
        {
          key: "interval",
          head: "In words",
          cell: (name) => el("small", {}, RE.entryWords(set, set.info.get(name), RE.entry(set, entries, name, group))),
        },
      ],
    });
  };

  const roleTable = (run, set, { about, rows, place, found, info, metric, group }) => {
    const sums = about.roles.map((role, number) => ({ role, number, sum: 0, n: 0, all: 0 }));
    rows.forEach((row, index) => {
      if (!found.inGroup[index]) return;
      const one = sums[row[place.role]];
      one.all += 1;
      if (found.values[index] !== null) {
        one.sum += found.values[index];
        one.n += 1;
      }
    });
    const shown = sums.filter((one) => one.all);
    const mean = (one) => (one.n ? one.sum / one.n : null);
    const scale = RE.scaleOf(shown.map((one) => ({ mean: mean(one) })));
    const box = el("section", { "aria-label": "By role" });
    const paint = (sort) =>
      RE.replace(
        box,
        el("h2", {}, `By ${set.cluster[0]}`),
        RE.table({
          caption: `${RE.metricLabel(set, metric)} by ${set.cluster[0]}`,
          rows: shown,
          sort,
          onSort: paint,
          columns: [
            {
              key: "role",
              head: set.cluster[0],
              value: (one) => one.role.name,
              cell: (one) =>
                el(
                  "a",
                  { href: RE.link(["run", ...RE.runPath(run)], { metric, group, role: one.role.name }) },
                  one.role.name,
                ),
            },
            {
              key: "mean",
              head: "Mean",
              numeric: true,
              lower: info && info.higher_is_better !== false,
              value: mean,
              cell: (one) => [RE.number(info, mean(one)), RE.bar({ mean: mean(one) }, scale)],
            },
            {
              key: "n",
              head: "n",
              numeric: true,
              value: (one) => one.n,
              cell: (one) => (one.n === one.all ? String(one.n) : `${one.n} of ${one.all}`),
            },
          ],
        }),
      );
    paint(`mean:${info && info.higher_is_better === false ? "desc" : "asc"}`);
    return box;
  };

  const facts = (run, about) => {
    const statuses = Object.entries(run.statuses)
      .map(([status, count]) => `${count} ${status}`)
      .join(", ");
    const rows = [
      ["Run", run.run],
      ["Data", `${run.data}, hash ${run.dataHash.slice(0, 12)}`],
      ["Prompts", run.packs.map((pack) => `${pack.name} ${pack.version} (${pack.sha256.slice(0, 12)})`).join(", ")],
      [
        "Set-up",
        Object.entries(run.setup)
          .map(([key, value]) => `${key} ${value}`)
          .join(", "),
      ],
      ["Seed", run.seed],
      ["Limit", run.limit],
      ["Decoding", run.decoding],
      ["Engine", run.engine],
      [
        "Parameters",
        `${RE.millions(run.parameters.base)} base, ${RE.millions(run.parameters.adapters)} in adapters, ${RE.millions(run.parameters.per_added_role)} per added role`,
      ],
      ["Tokens per second", run.tokensPerSecond],
      ["Episodes", `${run.planned} planned: ${statuses}`],
      ["roleeval", run.version],
      [
        "Judges",
        about.controls
          .map(
            (each) => `${each.judge.replace(/^judge\//, "")}${each.measured ? " (measured on injected faults)" : ""}`,
          )
          .join(", "),
      ],
    ];
    return el(
      "dl",
      { class: "facts" },
      rows
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
    );
  };
})();

// Two or more models on the same sample, and the samples on which two models differ most.
"use strict";

(() => {
  const { el } = RE;

  const sampleOf = async (run, id) => {
    const { about, rows, place } = await RE.samples(run);
    const number = rows.findIndex((row) => row[place.id] === id);
    return number < 0 ? null : { run, about, sample: await RE.sample(run, number) };
  };

  // Columns of one sample, aligned by turn. What is the same in all of them stands once.
  RE.sideBySide = (set, all, { withValues = true } = {}) => {
    const found = all.map(({ sample, about }) => RE.findings(sample, about, RE.judgedTurns(sample)));
    const spoken = all.map(({ sample }) => RE.spokenTurns(sample));
    const length = Math.max(...spoken.map((turns) => turns.length));
    const rows = [];
    for (let number = 0; number < length; number += 1) {
      const turns = all.map(({ sample }, which) =>
        number < spoken[which].length ? sample.turns[spoken[which][number]] : null,
      );
      const same =
        all.length > 1 &&
        turns.every((turn) => turn && turn.text === turns[0].text && turn.speaker === turns[0].speaker);
      const cell = (which) => {
        if (!turns[which])
          return el("div", { class: "cell" }, el("p", { class: "nothing" }, "(the conversation had ended)"));
        const place = spoken[which][number];
        const { sample, about, run } = all[which];
        return el(
          "div",
          { class: "cell" },
          !same && el("p", { class: "who" }, RE.runLabel(run)),
          RE.turn(sample, place, {
            marks: found[which].filter((finding) => finding.turnPlace === place),
            quiet: true,
            classOf: (finding) => RE.severityClass(finding, about.severest[finding.judge] || 1),
            onMark: (finding) => {
              location.hash = RE.link(["sample", ...RE.runPath(run), sample.id], { find: finding.number });
            },
            link: RE.link(["sample", ...RE.runPath(run), sample.id], { turn: place }),
          }),
        );
      };
      rows.push(
        el(
          "div",
          { class: same ? "aligned same" : "aligned", id: `row-${number}` },
          same
            ? el("div", { class: "cell both" }, cell(0).firstChild, el("p", { class: "label" }, "the same in all"))
            : all.map((_, which) => cell(which)),
        ),
      );
    }
    const labels = all.map(({ run }) => RE.runLabel(run));
    const box = el(
      "div",
      { class: "side-by-side" },
      el(
        "div",
        { class: "aligned heads" },
        all.map(({ run, sample }, which) =>
          el(
            "div",
            { class: "cell" },
            el("a", { href: RE.link(["sample", ...RE.runPath(run), sample.id]) }, labels[which]),
            sample.status !== "ok" && el("p", { class: "warn" }, RE.statusWords(sample.status)),
            el(
              "p",
              { class: "label" },
              RE.count(
                found[which].filter((f) => f.turnPlace !== null).length,
                "marked quotation",
                "marked quotations",
              ),
            ),
          ),
        ),
      ),
      rows,
    );
    for (const node of box.querySelectorAll(".aligned")) node.style.setProperty("--cells", String(all.length));
    return [
      RE.setting(all[0].sample),
      box,
      withValues &&
        RE.valueTable(
          set,
          all.map(({ about }) => about),
          all.map(({ sample }) => sample),
          labels,
        ),
      RE.references(all[0].sample),
    ];
  };

  RE.comparePage = async ([key, ...rest], query) => {
    const id = rest.join("/");
    const set = RE.setOf(key);
    if (!set) throw new Error(`There is no benchmark ${key} in these results.`);
    const runs = set.rows
      .flatMap((row) => row.runs.map((number) => RE.index.runs[number]))
      .filter((run) => !run.trouble);
    const keys = (query.runs || "").split(" ").filter((each) => runs.some((run) => run.key === each));
    const chosen = keys.map((each) => runs.find((run) => run.key === each));
    const all = (await Promise.all(chosen.map((run) => sampleOf(run, id)))).filter(Boolean);
    const lacking = chosen.filter((run) => !all.some((each) => each.run === run));
    const { rows, place } = await RE.samples(chosen[0] || runs[0]);
    const ids = rows.map((row) => row[place.id]);
    const at = ids.indexOf(id);
    const go = (step) => {
      if (ids[at + step] !== undefined)
        location.hash = RE.link(["compare", key, ids[at + step]], { runs: keys.join(" ") });
    };
    return {
      nodes: [
        RE.crumbs(["Leaderboard", "#/"], [set.title, RE.link(["board", key])], ["Side by side"]),
        el("h1", {}, "Side by side", el("span", { class: "label" }, id)),
        el(
          "p",
          { class: "row" },
          RE.button("‹ Previous", () => go(-1), "k or left arrow"),
          RE.button("Next ›", () => go(1), "j or right arrow"),
          RE.checks({
            label: `Models (${keys.length})`,
            chosen: keys,
            options: runs.map((run) => [run.key, RE.runLabel(run)]),
            onChange: (next) => RE.here({ runs: next.join(" ") }),
          }),
          chosen.length > 1 &&
            el(
              "a",
              { class: "plain", href: RE.link(["differ", key], { a: keys[0], b: keys[1] }) },
              "Where do these differ most?",
            ),
          RE.button(
            "Download",
            () =>
              RE.download(
                `${id.replace(/[^\w-]+/g, "_")}.jsonl`,
                RE.jsonl(all.map(({ run, sample }) => ({ run: run.run, ...sample }))),
                "application/jsonl",
              ),
            "What is shown, a line for each model",
          ),
          RE.button("Copy the link", () => RE.copyDialog("Link to this comparison", location.href)),
        ),
        lacking.length > 0 &&
          el("p", { class: "warn" }, `Without this sample: ${lacking.map(RE.runLabel).join(", ")}.`),
        all.length ? RE.sideBySide(set, all) : el("p", { class: "wait" }, "Choose models to compare."),
      ],
      after: () => {
        RE.keys = { j: () => go(1), k: () => go(-1), ArrowRight: () => go(1), ArrowLeft: () => go(-1) };
      },
    };
  };

  RE.differPage = async ([key], query) => {
    const set = RE.setOf(key);
    if (!set) throw new Error(`There is no benchmark ${key} in these results.`);
    const runs = set.rows
      .flatMap((row) => row.runs.map((number) => RE.index.runs[number]))
      .filter((run) => !run.trouble);
    const a = runs.find((run) => run.key === query.a) || runs[0];
    const b = runs.find((run) => run.key === query.b && run !== a) || runs.find((run) => run !== a);
    const title = [
      RE.crumbs(["Leaderboard", "#/"], [set.title, RE.link(["board", key])], ["Differences"]),
      el("h1", {}, "Where do two models differ most?"),
    ];
    if (!b) return { nodes: [...title, el("p", { class: "wait" }, "There is only one model with answers.")] };
    const group = set.groups.some((each) => each.name === query.group) ? query.group : RE.defaultGroup(set);
    const [{ about, rows, place }, other] = await Promise.all([RE.samples(a), RE.samples(b)]);
    const names = set.metrics
      .map((info) => info.name)
      .filter(
        (name) =>
          set.info.get(name).per !== "cluster" &&
          [about, other.about].every((each) => each.columns.some(([column]) => column === name)),
      );
    const metric = names.includes(query.metric)
      ? query.metric
      : names.includes(RE.mainMetric(set))
        ? RE.mainMetric(set)
        : names[0];
    const info = set.info.get(metric);
    const [mine, theirs] = await Promise.all([a, b].map((run) => RE.values(run, set, metric, group)));
    const placeOf = new Map(other.rows.map((row, index) => [row[other.place.id], index]));
    const by = query.by || "difference";
    const all = [];
    rows.forEach((row, index) => {
      const there = placeOf.get(row[place.id]);
      if (there === undefined || !mine.inGroup[index]) return;
      const [x, y] = [mine.values[index], theirs.values[there]];
      all.push({
        id: row[place.id],
        role: about.roles[row[place.role]].name,
        question: row[place.question],
        x,
        y,
        gap: x === null || y === null ? null : x - y,
        flips: row[place.flips] + other.rows[there][other.place.flips],
      });
    });
    const paired = all.filter((each) => each.gap !== null);
    const items =
      by === "flips"
        ? all.filter((each) => each.flips > 0).sort((p, q) => q.flips - p.flips)
        : paired
            .filter((each) => by === "difference" || (by === "a" ? each.gap > 0 : each.gap < 0))
            .sort((p, q) => Math.abs(q.gap) - Math.abs(p.gap));
    const mean = paired.length ? paired.reduce((sum, each) => sum + each.gap, 0) / paired.length : null;
    const preview = el("div", { class: "preview", "aria-live": "polite" });
    let wanted = "";
    let timer = 0;
    const look = (item) => {
      wanted = item.id;
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const both = await Promise.all([sampleOf(a, item.id), sampleOf(b, item.id)]);
        if (wanted !== item.id) return;
        RE.replace(
          preview,
          el(
            "h2",
            {},
            item.role,
            el("span", { class: "label" }, item.id),
            el(
              "a",
              { class: "label", href: RE.link(["compare", key, item.id], { runs: `${a.key} ${b.key}` }) },
              "open",
            ),
          ),
          RE.sideBySide(set, both),
        );
      }, 30);
      RE.here({ at: item.id }, { replace: true });
    };
    const start = Math.max(
      0,
      items.findIndex((each) => each.id === query.at),
    );
    const open = (item) => {
      location.hash = RE.link(["compare", key, item.id], { runs: `${a.key} ${b.key}` });
    };
    const list = RE.list({
      items,
      height: 58,
      name: "gaps",
      label: "List of samples by difference",
      start,
      onMove: look,
      onOpen: open,
      draw: (item) => [
        el(
          "span",
          { class: "num" },
          item.gap === null ? "–" : RE.signed(info, item.gap),
          el("small", { class: "line" }, `${RE.number(info, item.x)} · ${RE.number(info, item.y)}`),
        ),
        el(
          "span",
          { class: "what" },
          el(
            "a",
            { href: RE.link(["compare", key, item.id], { runs: `${a.key} ${b.key}` }), dir: "auto" },
            item.question || item.id,
          ),
          el("small", { class: "line" }, item.role),
        ),
        el(
          "span",
          { class: "flags" },
          item.flips > 0 && el("span", { class: "flag" }, RE.count(item.flips, "flip", "flips")),
        ),
      ],
    });
    const keys = RE.keys;
    const pick = (label, value, change) =>
      RE.select({ label, value, options: runs.map((run) => [run.key, RE.runLabel(run)]), onChange: change });
    return {
      nodes: [
        ...title,
        el(
          "div",
          { class: "filters" },
          pick("Model A", a.key, (value) => RE.here({ a: value, at: "" })),
          pick("Model B", b.key, (value) => RE.here({ b: value, at: "" })),
          RE.select({
            label: "Samples",
            value: group,
            options: set.groups.map((each) => [each.name, RE.groupLabel(set, each.name)]),
            onChange: (value) => RE.here({ group: value, at: "" }),
          }),
          RE.select({
            label: "Metric",
            value: metric,
            options: names.map((name) => [name, RE.metricLabel(set, name)]),
            onChange: (value) => RE.here({ metric: value, at: "" }),
          }),
          RE.select({
            label: "Order",
            value: by,
            options: [
              ["difference", "largest differences"],
              ["a", "A is above B"],
              ["b", "B is above A"],
              ["flips", "contradictory comparisons"],
            ],
            onChange: (value) => RE.here({ by: value, at: "" }),
          }),
        ),
        el(
          "p",
          { class: "lead" },
          `${RE.metricLabel(set, metric)}${RE.better(info) ? ` (${RE.better(info)})` : ""}: A minus B, over ${RE.count(paired.length, "sample", "samples")} that both have`,
          mean === null ? "." : `; mean difference ${RE.signed(info, mean)}. The number alone is no test: `,
          mean !== null && el("code", {}, `roleeval report … --reference ${b.label}`),
          mean !== null && " gives its interval and p.",
        ),
        el(
          "p",
          { class: "label", role: "status" },
          `${RE.count(items.length, "sample", "samples")}. Keys: j and k (or the arrows) move, Enter opens.`,
        ),
        items.length
          ? el("div", { class: "columns walk" }, el("div", { class: "narrow" }, list.node), preview)
          : el("p", { class: "wait" }, "No sample is in this list."),
        el(
          "p",
          { class: "row" },
          RE.saveButtons("differences", () =>
            items.map((each) => ({
              benchmark: set.title,
              sample: each.id,
              role: each.role,
              metric,
              group,
              a: a.run,
              b: b.run,
              value_a: each.x,
              value_b: each.y,
              difference: each.gap,
              flips: each.flips,
            })),
          ),
        ),
      ],
      after: () => {
        RE.keys = keys;
        if (items.length) look(items[start]);
      },
    };
  };
})();

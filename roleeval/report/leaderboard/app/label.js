// A reader's own labels: answers without their models' names, in a shuffled order; saved as a file for `roleeval judge-card`.
"use strict";

(() => {
  const { el } = RE;

  // Mulberry32: the same seed gives the same order.
  const random = (seed) => {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  };
  const shuffled = (items, next) => {
    const order = [...items];
    for (let at = order.length - 1; at > 0; at -= 1) {
      const other = Math.floor(next() * (at + 1));
      [order[at], order[other]] = [order[other], order[at]];
    }
    return order;
  };

  // The criteria that a judge's card can compare labels with: a judge's metrics without its column.
  const criteria = (set) => {
    const found = new Map();
    for (const info of set.metrics) {
      const [judge, name] = RE.judgeOf(info.name);
      if (
        judge &&
        !info.habit &&
        info.per !== "cluster" &&
        info.higher_is_better !== null &&
        info.low !== null &&
        info.high !== null
      )
        found.set(name, info);
    }
    return found;
  };
  const choices = (info) => {
    if (!info)
      return [
        [1, "1"],
        [2, "2"],
        [3, "3"],
        [4, "4"],
        [5, "5"],
      ];
    if (info.unit === "fraction")
      return [
        [0, "no (0)"],
        [0.5, "partly (0.5)"],
        [1, "yes (1)"],
      ];
    if (info.high - info.low <= 10)
      return Array.from({ length: Math.floor(info.high - info.low) + 1 }, (_, step) => [
        info.low + step,
        String(info.low + step),
      ]);
    return [0, 0.25, 0.5, 0.75, 1].map((share) => [
      info.low + share * (info.high - info.low),
      String(info.low + share * (info.high - info.low)),
    ]);
  };

  RE.labelPage = async ([key], query) => {
    const set = RE.setOf(key);
    if (!set) throw new Error(`There is no benchmark ${key} in these results.`);
    const runs = set.rows
      .flatMap((row) => row.runs.map((number) => RE.index.runs[number]))
      .filter((run) => !run.trouble);
    const known = criteria(set);
    const task = el("div", { class: "task" });
    const state = {
      runs: runs.map((run) => run.key),
      criterion: [...known.keys()][0] || "overall",
      count: "10",
      mode: "rate",
      seed: query.seed || "1",
      rater: "",
    };
    const input = (label, name, type = "text") =>
      el(
        "label",
        { class: "field" },
        el("span", {}, label),
        el("input", {
          type,
          value: state[name],
          on: {
            input: (event) => {
              state[name] = event.target.value;
            },
          },
        }),
      );
    const setup = el(
      "div",
      { class: "filters" },
      input("Your name (rater)", "rater"),
      known.size > 0
        ? RE.select({
            label: "Criterion",
            value: state.criterion,
            options: [...known].map(([name, info]) => [name, info.label]),
            onChange: (value) => {
              state.criterion = value;
            },
          })
        : input("Criterion", "criterion"),
      RE.select({
        label: "Task",
        value: state.mode,
        options: [
          ["rate", "rate one answer at a time"],
          ...(runs.length > 1 ? [["compare", "choose the better of two"]] : []),
        ],
        onChange: (value) => {
          state.mode = value;
        },
      }),
      input("Samples", "count", "number"),
      input("Seed of the order", "seed", "number"),
      RE.button("Begin", () => begin(set, runs, known, state, task), undefined, "strong"),
    );
    return [
      RE.crumbs(["Leaderboard", "#/"], [set.title, RE.link(["board", key])], ["Rate answers"]),
      el("h1", {}, "Rate answers yourself"),
      el(
        "p",
        { class: "lead" },
        "Answers are shown without their models' names, in a shuffled order. Your ratings stay on this page until you save them; ",
        el("code", {}, "roleeval judge-card RESULTS --labels FILE"),
        " then says how far the judges agree with you.",
      ),
      setup,
      task,
    ];
  };

  const begin = async (set, runs, known, state, task) => {
    const next = random(Number(state.seed) || 1);
    const lists = await Promise.all(runs.map(async (run) => ({ run, ...(await RE.samples(run)) })));
    const ids = shuffled(
      lists[0].rows.map((row) => row[lists[0].place.id]),
      next,
    ).slice(0, Math.max(1, Number(state.count) || 10));
    const having = (id) =>
      lists.filter(({ rows, place }) => rows.some((row) => row[place.id] === id)).map(({ run }) => run);
    const items =
      state.mode === "compare"
        ? ids
            .map((id) => ({ id, runs: shuffled(having(id), next).slice(0, 2) }))
            .filter((item) => item.runs.length === 2)
        : shuffled(
            ids.flatMap((id) => having(id).map((run) => ({ id, runs: [run] }))),
            next,
          );
    const given = new Map();
    const criterion = state.mode === "compare" ? state.criterion.replace(/\/(win|beats|rank)$/, "") : state.criterion;
    const rows = () => [...given.values()].flat();
    let at = 0;

    const rate = (values) => {
      const item = items[at];
      given.set(
        at,
        item.runs.map((run, which) => ({
          sample: item.id,
          model: run.run,
          criterion,
          value: values[which],
          rater: state.rater.trim() || "reader",
          ...(marks.length ? { marks: marks.filter((mark) => mark.which === which).map(({ quote }) => quote) } : {}),
        })),
      );
      move(1);
    };
    let marks = [];
    const move = (step) => {
      at = Math.min(Math.max(at + step, 0), items.length - 1);
      marks = [];
      paint();
    };
    const mark = (list) => {
      const selection = document.getSelection();
      const text = selection ? selection.toString().trim() : "";
      const box =
        selection &&
        selection.anchorNode &&
        (selection.anchorNode.nodeType === 1 ? selection.anchorNode : selection.anchorNode.parentElement).closest(
          "[data-answer]",
        );
      if (!text || !box) return;
      marks.push({ which: Number(box.dataset.answer), quote: text });
      RE.replace(
        list,
        marks.map((each) => el("li", { dir: "auto" }, each.quote)),
      );
    };
    const paint = async () => {
      const item = items[at];
      const shown = await Promise.all(
        item.runs.map(async (run) => {
          const { rows: all, place } = lists.find((each) => each.run === run);
          return RE.sample(
            run,
            all.findIndex((row) => row[place.id] === item.id),
          );
        }),
      );
      if (items[at] !== item) return;
      const info = known.get(state.criterion);
      const options =
        state.mode === "compare"
          ? [
              [[1, 0], "A is better"],
              [[0.5, 0.5], "a tie"],
              [[0, 1], "B is better"],
            ]
          : choices(info).map(([value, text]) => [[value], text]);
      const list = el("ul", { class: "notes" });
      const letters = ["A", "B"];
      const before = given.get(at);
      RE.replace(
        task,
        el(
          "p",
          { class: "row" },
          el("b", { role: "status" }, `${at + 1} of ${items.length}`),
          el("span", { class: "label" }, `${given.size} rated`),
          RE.button("‹ Back", () => move(-1)),
          RE.button("Skip ›", () => move(1)),
          RE.button(
            "Save labels",
            () => RE.download("labels.jsonl", RE.jsonl(rows()), "application/jsonl"),
            "A file for roleeval judge-card --labels",
            "strong",
          ),
        ),
        RE.setting(shown[0]),
        el(
          "div",
          { class: "blind" },
          shown.map((sample, which) =>
            el(
              "section",
              {
                class: "answer",
                data: { answer: String(which) },
                "aria-label": shown.length > 1 ? `Answer ${letters[which]}` : "Answer",
              },
              shown.length > 1 && el("h2", {}, `Answer ${letters[which]}`),
              RE.spokenTurns(sample).map((place) =>
                RE.turn({ ...sample, turns: sample.turns.map(blind) }, place, { quiet: true }),
              ),
            ),
          ),
        ),
        el(
          "p",
          { class: "ask" },
          el("b", {}, info ? `${info.label}: ` : `${state.criterion}: `),
          info ? info.recipe : "",
        ),
        el(
          "p",
          { class: "row choices" },
          options.map(([values, text], number) =>
            el(
              "button",
              {
                type: "button",
                class: "choice",
                "aria-pressed": before && before.every((row, which) => row.value === values[which]) ? "true" : "false",
                on: { click: () => rate(values) },
              },
              el("kbd", {}, String(number + 1)),
              " ",
              text,
            ),
          ),
        ),
        el(
          "p",
          { class: "row" },
          RE.button("Mark the selected words", () => mark(list)),
          el("span", { class: "label" }, "Select words in an answer, then mark them: they are saved with your rating."),
        ),
        list,
      );
      RE.keys = Object.fromEntries(
        options.slice(0, 9).map(([values], number) => [String(number + 1), () => rate(values)]),
      );
      RE.keys.ArrowLeft = () => move(-1);
      RE.keys.ArrowRight = () => move(1);
    };
    paint();
  };

  // What would tell a rater whose answer it is: thoughts, raw texts, adapters and prompts.
  const blind = (turn) => ({
    speaker: turn.speaker,
    part: turn.part,
    text: turn.text,
    status: turn.status,
    aside: turn.aside,
  });
})();

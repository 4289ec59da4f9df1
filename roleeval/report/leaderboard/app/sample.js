// One sample of one run: the conversation, and next to it the values and what judges said.
"use strict";

(() => {
  const { el } = RE;

  const WIDE = matchMedia("(min-width: 64rem)");

  RE.samplePage = async ([benchmark, model, name, ...rest], query) => {
    const id = rest.join("/");
    const run = RE.runOf(benchmark, model, name);
    if (!run || !run.set || run.trouble) throw new Error("This run is not among the results.");
    const { set } = run;
    const { about, rows, place } = await RE.samples(run);
    const number = rows.findIndex((row) => row[place.id] === id);
    if (number < 0) throw new Error(`This run has no sample ${id}.`);
    const sample = await RE.sample(run, number);
    const findings = RE.findings(sample, about, RE.judgedTurns(sample));
    const classOf = (finding) => RE.severityClass(finding, about.severest[finding.judge] || 1);
    const here = ["sample", ...RE.runPath(run), id];

    const details = el("div", {});
    const show = (finding, { scroll = true, remember = true } = {}) => {
      if (finding.turnPlace !== null) talk.drawTo(finding.turnPlace);
      document.querySelectorAll(".is-current").forEach((node) => node.classList.remove("is-current"));
      const marks = talk.node.querySelectorAll(`mark[data-finding="${finding.number}"]`);
      marks.forEach((node) => node.classList.add("is-current"));
      const card = document.getElementById(`finding-${finding.number}`);
      document.querySelectorAll(".in-place").forEach((node) => node.remove());
      if (card) card.classList.add("is-current");
      if (scroll && marks[0]) marks[0].scrollIntoView({ block: "center" });
      // Next to the text there is room for the card; on a narrow screen it comes below the turn.
      if (WIDE.matches) {
        if (card) card.scrollIntoView({ block: "nearest" });
      } else if (marks.length) {
        marks[marks.length - 1]
          .closest("article")
          .append(el("div", { class: "in-place" }, findingCard(finding, { classOf })));
      }
      if (remember) RE.here({ find: finding.number, turn: "" }, { replace: true });
    };
    const talk = RE.conversation(sample, {
      findings,
      onMark: (finding) => show(finding, { scroll: false }),
      classOf,
      linkOf: (turn) => RE.link(here, { turn }),
    });

    const order =
      RE.walk && RE.walk.run === run.key && RE.walk.ids.includes(id) ? RE.walk.ids : rows.map((row) => row[place.id]);
    const at = order.indexOf(id);
    const go = (step) => {
      const next = order[at + step];
      if (next !== undefined)
        location.hash = RE.link(["sample", ...RE.runPath(run), next], { metric: query.metric, group: query.group });
    };
    let current = -1;
    const step = (by) => {
      if (!findings.length) return;
      current = (current + by + findings.length) % findings.length;
      show(findings[current]);
    };
    const pageKeys = {
      j: () => go(1),
      k: () => go(-1),
      ArrowRight: () => go(1),
      ArrowLeft: () => go(-1),
      n: () => step(1),
      p: () => step(-1),
    };
    const others = set.rows
      .flatMap((row) => row.runs.map((each) => RE.index.runs[each]))
      .filter((other) => other !== run && !other.trouble);
    const marked = findings.filter((finding) => finding.turnPlace !== null).length;

    const nodes = [
      RE.crumbs(
        ["Leaderboard", "#/"],
        [set.title, RE.link(["board", set.key])],
        [RE.runLabel(run), RE.link(["run", ...RE.runPath(run)], { metric: query.metric, group: query.group })],
        [id],
      ),
      el(
        "h1",
        {},
        RE.runLabel(run),
        el("span", { class: "label" }, `${about.splits[rows[number][place.split]].replace(/_/g, " ")} · ${id}`),
      ),
      el(
        "p",
        { class: "row" },
        RE.button("‹ Previous", () => go(-1), "k or left arrow"),
        RE.button("Next ›", () => go(1), "j or right arrow"),
        el("span", { class: "label" }, `${at + 1} of ${order.length}`),
        others.length > 0 &&
          el(
            "a",
            {
              class: "plain",
              href: RE.link(["compare", set.key, id], {
                runs: [run, ...others.slice(0, 1)].map((each) => each.key).join(" "),
              }),
            },
            "Side by side",
          ),
        RE.button("Copy the link", () => RE.copyDialog("Link to this sample", location.href)),
        RE.citeButton(set, [run]),
        RE.button(
          "Download",
          () =>
            RE.download(
              `${id.replace(/[^\w-]+/g, "_")}.json`,
              `${JSON.stringify({ run: run.run, ...sample }, null, 1)}\n`,
              "application/json",
            ),
          "This sample with its turns, values and judgements",
        ),
      ),
      sample.status !== "ok" && el("p", { class: "warn" }, `Status: ${RE.statusWords(sample.status)}.`),
      el(
        "div",
        { class: "columns reading" },
        el("div", { class: "wide" }, RE.setting(sample), talk.node, RE.references(sample)),
        el(
          "aside",
          { class: "side", "aria-label": "Judgements and values" },
          judgements(sample, about, findings, { show, classOf, marked }),
          RE.valueTable(set, [about], [sample]),
          Object.keys(sample.labels).length > 0 &&
            RE.fold("Labels of the sample", () =>
              el(
                "dl",
                { class: "facts" },
                Object.entries(sample.labels).map(([key, value]) => [
                  el("dt", {}, key.replace(/_/g, " ")),
                  el("dd", {}, value),
                ]),
              ),
            ),
          details,
        ),
      ),
    ];
    const after = () => {
      RE.keys = pageKeys;
      if (query.turn !== undefined && query.turn !== "") {
        talk.drawTo(Number(query.turn));
        const node = document.getElementById(`turn-${Number(query.turn)}`);
        if (node) {
          node.classList.add("is-current");
          node.scrollIntoView({ block: "start" });
        }
      } else if (query.find !== undefined && findings[Number(query.find)]) {
        current = Number(query.find);
        show(findings[current], { remember: false });
      } else if (findings.length && findings[0].turnPlace !== null && query.metric && RE.judgeOf(query.metric)[0]) {
        // Who comes from a judge's number wants the words that it is about; the chosen criterion's come first.
        const criterion = RE.judgeOf(query.metric)[1].split("/")[0];
        const wanted = findings.find(
          (finding) =>
            finding.turnPlace !== null &&
            [finding.dimension, finding.about, finding.item, finding.kind].some(
              (each) => each && String(each).includes(criterion),
            ),
        );
        current = findings.indexOf(wanted || findings[0]);
        show(findings[current], { remember: false });
      }
    };
    return { nodes, after };
  };

  const judgements = (sample, about, findings, { show, classOf, marked }) => {
    const all = sample.judgements || [];
    if (!all.length)
      return el(
        "section",
        { "aria-label": "Judgements" },
        el("h2", {}, "Judgements"),
        el("p", { class: "label" }, "No judge was asked about this sample."),
      );
    const byJudge = new Map();
    all.forEach((judgement) => {
      const judge = about.judges[judgement.judge];
      byJudge.set(judge, [...(byJudge.get(judge) || []), judgement]);
    });
    return el(
      "section",
      { "aria-label": "Judgements" },
      el("h2", {}, "Judgements"),
      findings.length > 0 &&
        el(
          "p",
          { class: "label" },
          `${RE.count(marked, "quotation is", "quotations are")} marked in the text. Keys: n and p walk through them.`,
        ),
      [...byJudge].map(([judge, some]) => {
        const mine = findings.filter((finding) => finding.judge === judge);
        const failed = some.filter((each) => each.status);
        return el(
          "div",
          { class: "judge" },
          el("h3", { title: judge }, RE.judgeName(judge)),
          failed.length > 0 &&
            el(
              "p",
              { class: "warn" },
              `${RE.count(failed.length, "question", "questions")} of ${some.length} without a usable verdict, so the value is missing: ${[...new Set(failed.map((each) => each.reason || "no reply"))].join("; ")}`,
            ),
          mine.length === 0 && failed.length < some.length && plainVerdicts(some),
          mine.map((finding) => findingCard(finding, { show, classOf, id: `finding-${finding.number}` })),
          RE.fold(`${RE.count(some.length, "question", "questions")} with all attempts`, () => some.map(question)),
        );
      }),
    );
  };

  const findingCard = (finding, { show, classOf, id }) =>
    el(
      "div",
      { class: `finding ${finding.quote ? classOf(finding) : "note"}`, id },
      el(
        "p",
        { class: "what" },
        RE.findingTitle(finding),
        finding.repeat > 0 && el("span", { class: "label" }, `repeat ${finding.repeat}`),
      ),
      finding.quote && el("blockquote", { dir: "auto" }, finding.quote.slice(0, 600)),
      finding.why && el("p", { class: "why", dir: "auto" }, finding.why),
      finding.quote &&
        (finding.turnPlace === null
          ? el("p", { class: "label" }, "These words are not in the text as it is shown here.")
          : show && RE.button(`Show in turn ${finding.turnPlace}`, () => show(finding))),
    );

  // Verdicts that quote nothing: what they say in a line each, or that no error was named.
  const plainVerdicts = (some) => {
    const told = some
      .map((judgement) => [
        judgement,
        Object.entries(judgement.rest || {}).filter(([, value]) => typeof value === "string"),
      ])
      .filter(([, rest]) => rest.length);
    if (!told.length) return el("p", { class: "label" }, "The judge named no error.");
    return el(
      "ul",
      { class: "notes" },
      told.map(([judgement, rest]) =>
        el(
          "li",
          { dir: "auto" },
          judgement.item ? `${judgement.item.replaceAll("|", " or ")}: ` : "",
          rest.map(([key, value]) => `${key.replace(/_/g, " ")} ${value}`).join(", "),
        ),
      ),
    );
  };

  const question = (judgement) =>
    el(
      "div",
      { class: "question" },
      el(
        "p",
        {},
        el("b", {}, judgement.item || "the answer"),
        judgement.repeat ? ` (repeat ${judgement.repeat})` : "",
        judgement.slots
          ? `: A is ${judgement.slots[0]}, B is ${judgement.slots[1]}${judgement.slots.length > 2 ? ", …" : ""}`
          : "",
      ),
      judgement.status &&
        el(
          "p",
          { class: "label" },
          `${RE.statusWords(judgement.status)}${judgement.reason ? `: ${judgement.reason}` : ""}`,
        ),
      Object.keys(judgement.rest || {}).length > 0 &&
        el(
          "p",
          { class: "label" },
          Object.entries(judgement.rest)
            .map(([key, value]) => `${key.replace(/_/g, " ")} ${value}`)
            .join(" · "),
        ),
      Object.keys(judgement.numbers || {}).length > 0 &&
        el(
          "p",
          { class: "label" },
          Object.entries(judgement.numbers)
            .map(([key, value]) => `${key.replace(/_/g, " ")} ${Math.round(value * 1000) / 1000}`)
            .join(" · "),
        ),
      (judgement.attempts || []).map((attempt, number) =>
        el(
          "div",
          { class: "attempt" },
          el(
            "p",
            { class: "label" },
            [
              `attempt ${number + 1}`,
              attempt.temperature !== undefined && `temperature ${attempt.temperature}`,
              attempt.finish === "length" && "cut off",
              attempt.error && `not used: ${attempt.error}`,
            ]
              .filter(Boolean)
              .join(", "),
          ),
          RE.marked(attempt.raw || "(no reply)", []),
        ),
      ),
    );
})();

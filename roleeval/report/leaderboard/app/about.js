// What the words on the pages mean: metrics, statuses, keys.
"use strict";

(() => {
  const { el } = RE;

  RE.aboutPage = async () => [
    RE.crumbs(["Leaderboard", "#/"], ["About"]),
    el("h1", {}, "About these pages"),
    el(
      "p",
      {},
      `Written by roleeval ${RE.index.roleeval} from result folders. Everything is in this folder: the page asks for nothing from anywhere else and tells nobody that you read it. To share it, copy the whole folder or put it on any web server.`,
    ),
    el("h2", {}, "From a number to the words"),
    el(
      "ol",
      {},
      el("li", {}, "Choose a number on a leaderboard: the model's page opens with its samples, the worst first."),
      el(
        "li",
        {},
        "Choose a sample: what was said is shown with the judge's quotations marked; the first one of that number's criterion is in sight.",
      ),
      el(
        "li",
        {},
        "Choose a mark or a card beside it: why the judge named it, how bad it is, and every attempt of the judge.",
      ),
    ),
    el("h2", {}, "Keys"),
    el(
      "dl",
      { class: "facts" },
      [
        ["j, k, ↓, ↑", "move in a list; the next and previous sample"],
        ["Enter", "open what is chosen"],
        ["n, p", "next and previous quotation on a sample's page"],
        ["1 … 9", "a rating, where answers are rated"],
        ["Back", "every view has an address of its own, so the browser's Back works"],
      ].map(([key, words]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, words)]),
    ),
    el("h2", {}, "Missing values and statuses"),
    el(
      "p",
      {},
      "A value that is missing is never 0 and never left out in silence. With missing judgements a mean has bounds: what it would be if all of them were the worst, or the best, possible.",
    ),
    el(
      "dl",
      { class: "facts" },
      Object.entries(RE.STATUSES).map(([status, words]) => [el("dt", {}, el("code", {}, status)), el("dd", {}, words)]),
    ),
    el("h2", {}, "Intervals and tests"),
    el(
      "p",
      {},
      "An interval is a 95 % confidence interval over clusters (roles, books, seeds of sessions), because samples of one cluster are alike. A model is marked ≈ where the paired test over the same samples does not tell it from the best one. Overlap of two intervals is not that test.",
    ),
    RE.index.sets.map((set) =>
      RE.fold(`Metrics of ${set.title}`, () =>
        el(
          "dl",
          { class: "facts" },
          set.metrics.map((info) => [
            el("dt", {}, RE.metricLabel(set, info.name)),
            el(
              "dd",
              {},
              [
                info.recipe,
                info.source && `Source: ${info.source}.`,
                RE.better(info) && `${RE.better(info)}.`,
                info.caution && `${info.label} ${info.caution}`,
              ]
                .filter(Boolean)
                .join(" "),
              " ",
              el("code", {}, info.name),
            ),
          ]),
        ),
      ),
    ),
  ];
})();

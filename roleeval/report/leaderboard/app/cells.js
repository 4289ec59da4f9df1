// Cells of leaderboards: a value with its interval and what the test says of it, and a model.
"use strict";

(() => {
  const { el } = RE;

  const SIGNS = { tied: "≈" };
  RE.valueCell = (set, row, place, metric, group, entry, scale) => {
    const info = set.info.get(metric);
    const standing = RE.standing(set, metric, group, place);
    const words = `${RE.metricLabel(set, metric)}, ${row.label}: ${RE.entryWords(set, info, entry)}${standing ? `; ${RE.STANDING_WORDS[standing]}` : ""}`;
    if (!entry || entry.mean === null || entry.mean === undefined)
      return el("span", { class: "none", title: words }, "–");
    const run = RE.index.runs[row.runs[0]];
    const half =
      entry.low === null || entry.low === undefined
        ? ""
        : `${RE.number(info, entry.low)} to ${RE.number(info, entry.high)}`;
    return el(
      "a",
      { class: "value", href: RE.link(["run", ...RE.runPath(run)], { metric, group }), title: words },
      el(
        "span",
        { class: standing === "best" ? "mean best" : "mean" },
        RE.number(info, entry.mean),
        standing in SIGNS ? el("span", { class: "near" }, SIGNS[standing]) : "",
      ),
      el("small", { class: "line" }, [half, entry.missing && `${entry.missing} missing`].filter(Boolean).join(" · ")),
      RE.bar(entry, scale),
      el("span", { class: "hide" }, words),
    );
  };
  RE.standingClass = (set, metric, group) => (row) => {
    const standing = RE.standing(set, metric, group, set.rows.indexOf(row));
    return standing === "best" ? "is-best" : standing === "tied" ? "is-near" : "";
  };
  RE.modelCell = (row) => {
    const run = RE.index.runs[row.runs[0]];
    return [
      el("a", { href: RE.link(["run", ...RE.runPath(run)]) }, row.label),
      el(
        "small",
        { class: "line" },
        [row.family, row.runs.length > 1 && `${row.runs.length} seeds`].filter(Boolean).join(", "),
      ),
    ];
  };

  RE.standingKey = () =>
    el(
      "p",
      { class: "key" },
      el("span", { class: "swatch is-best" }),
      " best ",
      el("span", { class: "swatch is-near" }),
      " ≈ not separable from the best (paired test over the same samples, Holm-corrected; few clusters separate nothing) · lines are 95 % intervals",
    );
})();

// The report's plots, as pictures with their captions.
"use strict";

(() => {
  const { el } = RE;

  RE.plotsPage = async () => [
    RE.crumbs(["Leaderboard", "#/"], ["Plots"]),
    el("h1", {}, "Plots"),
    el("p", { class: "lead" }, "All that the data allow, as roleeval report --plots draws them."),
    RE.index.plots.map(({ file, caption }) =>
      el("figure", { class: "plot" }, RE.picture(file, caption), el("figcaption", {}, caption)),
    ),
  ];
})();

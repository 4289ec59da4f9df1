// Opens the page that the address names, and hands keys to it.
"use strict";

(() => {
  const { el } = RE;
  const page = document.getElementById("page");
  RE.keys = {};
  let turn = 0;

  const PAGES = {
    board: (path, query) => RE.boardPage(path[0], query),
    run: RE.runPage,
    sample: RE.samplePage,
    compare: RE.comparePage,
    differ: RE.differPage,
    label: RE.labelPage,
    plots: () => RE.plotsPage(),
    about: RE.aboutPage,
  };
  const draw = async () => {
    turn += 1;
    const mine = turn;
    const { path, query } = RE.route(location.hash);
    const started = performance.now();
    RE.keys = {};
    let made;
    try {
      made =
        path.length === 0
          ? await RE.homePage(query)
          : PAGES[path[0]]
            ? await PAGES[path[0]](path.slice(1), query)
            : [el("h1", {}, "No such page"), el("p", {}, el("a", { href: "#/" }, "To the leaderboard"))];
    } catch (error) {
      made = [
        el("h1", {}, "This cannot be shown"),
        el("p", { class: "warn" }, error.message),
        el("p", {}, el("a", { href: "#/" }, "To the leaderboard")),
      ];
    }
    if (mine !== turn) return; // the reader has gone on
    const isSameView = page.dataset.view === path.join("/");
    const focused =
      document.activeElement && page.contains(document.activeElement) && isSameView
        ? focusOf(document.activeElement)
        : null;
    RE.replace(page, Array.isArray(made) ? made : made.nodes);
    page.dataset.view = path.join("/");
    const title = page.querySelector("h1");
    document.title = title ? `${title.firstChild.textContent} – roleeval` : "roleeval";
    if (!isSameView) {
      scrollTo(0, 0);
      page.focus({ preventScroll: true });
    } else if (focused) focused();
    if (!Array.isArray(made) && made.after) made.after();
    const nav = document.getElementById("nav");
    const here = setOf(path);
    for (const link of nav.querySelectorAll("a")) {
      const isHere = here !== undefined && here === link.dataset.key;
      link.classList.toggle("here", isHere);
      if (isHere) nav.scrollLeft = link.offsetLeft - nav.offsetLeft - 16; // where they do not all fit
    }
    if (mine === 1) performance.mark("usable");
    page.dataset.ready = String(mine);
    page.dataset.took = String(Math.round(performance.now() - started));
  };
  // The set that a view is about: of a run its own, which may be another one of the same benchmark.
  const setOf = (path) => {
    const run = path.length >= 4 ? RE.runOf(...path.slice(1, 4)) : undefined;
    return run ? run.set && run.set.key : path[1];
  };
  // After a filter has drawn the page anew, the reader is where they were: in the field with the same label.
  const focusOf = (node) => {
    const label = node.closest("label");
    const name = label ? label.firstChild.textContent : "";
    const caret = node.selectionStart;
    return () => {
      for (const field of page.querySelectorAll("label.field")) {
        if (name && field.firstChild.textContent === name) {
          const box = field.querySelector("input, select");
          box.focus({ preventScroll: true });
          if (box.type === "search" && caret !== null) box.setSelectionRange(caret, caret);
          return;
        }
      }
    };
  };

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary, mark")) return;
    const handler = RE.keys[event.key];
    if (!handler) return;
    event.preventDefault();
    handler();
  });

  const THEMES = ["", "light", "dark"];
  const button = document.getElementById("theme");
  const setTheme = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" }[theme];
  };
  const kept = () => {
    try {
      return localStorage.getItem("roleeval-theme") || "";
    } catch {
      return ""; // a browser that keeps nothing for files
    }
  };
  setTheme(THEMES.includes(kept()) ? kept() : "");
  button.addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "") + 1) % THEMES.length];
    setTheme(theme);
    try {
      localStorage.setItem("roleeval-theme", theme);
    } catch {
      // the choice holds until the page is closed
    }
  });

  // The address names a view, so the link to the content does not change it.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    page.focus();
  });
  addEventListener("hashchange", draw);
  RE.open()
    .then(() => {
      RE.replace(
        document.getElementById("nav"),
        RE.index.sets.map((set) => el("a", { href: RE.link(["board", set.key]), data: { key: set.key } }, set.title)),
        RE.index.plots.length > 0 && el("a", { href: "#/plots" }, "Plots"),
      );
      return draw();
    })
    .catch((error) => RE.replace(page, el("p", { class: "warn" }, error.message)));
})();

// What a reader takes along: tables as CSV and JSON Lines, citations, links.
"use strict";

(() => {
  const { el } = RE;

  RE.download = (name, text, type) => {
    const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    const link = el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  // A spreadsheet must not run a cell: text that begins like a formula gets an apostrophe.
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  RE.csv = (rows) => {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    return `${[names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\n")}\n`;
  };
  RE.jsonl = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  RE.saveButtons = (name, rows) =>
    el(
      "span",
      { class: "save" },
      "Download what is shown: ",
      RE.button("CSV", async () => RE.download(`${name}.csv`, RE.csv(await rows()), "text/csv")),
      " ",
      RE.button("JSONL", async () => RE.download(`${name}.jsonl`, RE.jsonl(await rows()), "application/jsonl")),
    );

  // A window with a text to copy.
  RE.copyDialog = (title, text) => {
    const area = el("textarea", { rows: "12", readonly: true, "aria-label": title });
    area.value = text;
    const said = el("span", { role: "status" });
    const dialog = el(
      "dialog",
      { "aria-label": title },
      el("h2", {}, title),
      area,
      el(
        "p",
        { class: "row" },
        RE.button(
          "Copy",
          async () => {
            area.select();
            try {
              await navigator.clipboard.writeText(text);
              said.textContent = "Copied.";
            } catch {
              said.textContent = document.execCommand("copy") ? "Copied." : "Select the text and copy it.";
            }
          },
          undefined,
          "strong",
        ),
        RE.button("Close", () => dialog.close()),
        said,
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  };

  const key = (text) =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "");
  const bib = (text) =>
    String(text).replace(/[\\{}$&#%_~^]/g, (c) =>
      c === "\\" ? "\\textbackslash{}" : c === "~" || c === "^" ? `\\${c}{}` : `\\${c}`,
    );
  // BibTeX of a benchmark's papers and of the runs shown: what a paper needs to name the numbers.
  RE.cite = (set, runs) => {
    const papers = (set.papers || []).map((paper) =>
      [
        `@misc{${key(set.benchmark)}-${key(paper.arxiv || paper.title)},`,
        `  title = {${bib(paper.source)}},`,
        paper.arxiv && `  eprint = {${paper.arxiv}},`,
        paper.arxiv && "  archivePrefix = {arXiv},",
        "}",
      ]
        .filter(Boolean)
        .join("\n"),
    );
    const mine = runs.map((run) => {
      const judges = Object.entries(set.judges).map(([name, words]) => `${name.replace(/^judge\//, "")} (${words})`);
      const facts = [
        `run ${run.run}`,
        `data ${run.data} ${run.dataHash.slice(0, 12)}`,
        run.packs.length &&
          `prompts ${run.packs.map((p) => `${p.name} ${p.version} ${p.sha256.slice(0, 12)}`).join(", ")}`,
        `seed ${run.seed === null ? "unknown" : run.seed}`,
        `engine ${run.engine}`,
        `decoding ${run.decoding}`,
        judges.length && `judges ${judges.join("; ")}`,
      ];
      return [
        `@misc{roleeval-${key(run.benchmark)}-${key(run.run)},`,
        `  title = {${bib(run.label)} on ${bib(run.benchmark)}, measured with roleeval ${bib(run.version || RE.index.roleeval)}},`,
        `  note = {${bib(facts.filter(Boolean).join("; "))}},`,
        "}",
      ].join("\n");
    });
    RE.copyDialog("Citation (BibTeX)", [...papers, ...mine].join("\n\n"));
  };
  RE.citeButton = (set, runs) => RE.button("Copy as citation", () => RE.cite(set, runs));
})();

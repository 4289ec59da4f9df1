// A sample's conversation: setting, turns, thoughts folded away, judges' findings at their place.
"use strict";

(() => {
  const { el } = RE;
  const FIRST = 30; // turns drawn at once; the rest follows while the reader reads

  // The turns that a judge may have been shown; what nobody in the conversation said is folded away.
  RE.spokenTurns = (sample) =>
    sample.turns.map((turn, place) => (turn.aside ? -1 : place)).filter((place) => place >= 0);
  RE.judgedTurns = (sample) => {
    const spoken = RE.spokenTurns(sample);
    return [
      ...spoken.filter((place) => sample.turns[place].part === "model"),
      ...spoken.filter((place) => sample.turns[place].part !== "model"),
    ];
  };
  RE.isSingle = (sample) => RE.spokenTurns(sample).length <= 1;

  const hue = (name, names) => `voice${names.indexOf(name) % 6}`;
  const sent = (turn) => {
    const parts = turn.prompt ? [["prompt", turn.prompt]] : turn.sent || [];
    return parts.length
      ? RE.fold("What the model was sent", () =>
          parts.map(([role, text]) =>
            el("div", { class: "sent" }, el("span", { class: "label" }, role), RE.marked(text, [])),
          ),
        )
      : null;
  };
  const PARTS = { model: "", given: "given by the benchmark", user: "simulated user" };

  // One turn. `marks` are findings in it; `link` is the turn's own address.
  RE.turn = (sample, place, { marks = [], onMark, classOf, names, link, quiet = false, label } = {}) => {
    const turn = sample.turns[place];
    const own = turn.part === "model";
    const kind = own ? "own" : turn.part === "user" || turn.part === "given" ? "other" : "scene";
    const spans = marks.flatMap((finding) => finding.spans.map((span) => ({ span, finding })));
    const part = PARTS[turn.part] === undefined ? turn.part.replace(/_/g, " ") : PARTS[turn.part];
    const facts = [
      turn.status && RE.statusWords(turn.status),
      turn.finish === "length" && "cut off at the limit of new tokens",
      turn.attempts && `${turn.attempts} attempts`,
      turn.error && `error: ${turn.error}`,
      turn.note && `note: ${turn.note}`,
    ].filter(Boolean);
    const body = turn.text
      ? RE.marked(turn.text, spans, { onMark, classOf })
      : el("p", { class: "nothing" }, "(nothing was said)");
    return el(
      "article",
      {
        class: `turn ${kind} ${names && own ? hue(turn.speaker, names) : ""}`,
        id: quiet ? undefined : `turn-${place}`,
        data: { turn: String(place) },
      },
      el(
        "header",
        {},
        el("span", { class: "speaker" }, label || turn.speaker || (own ? "Answer" : part || "…")),
        part && el("span", { class: "label" }, part),
        link && el("a", { class: "anchor", href: link, "aria-label": `Link to turn ${place}` }, `#${place}`),
      ),
      turn.thoughts &&
        RE.fold(
          el(
            "span",
            { title: "No one in the conversation hears them, and no metric sees them." },
            `Thoughts (${RE.count(turn.thoughts.length, "character", "characters")})`,
          ),
          () => RE.marked(turn.thoughts, []),
        ),
      body,
      facts.length > 0 && el("p", { class: "facts" }, facts.join(" · ")),
      !quiet &&
        el(
          "div",
          { class: "folds" },
          sent(turn),
          turn.raw && RE.fold("As the model wrote it", () => RE.marked(turn.raw, [])),
          turn.shown && RE.fold("As judges see it with inner thoughts", () => RE.marked(turn.shown, [])),
        ),
    );
  };

  RE.aside = (sample, place) => {
    const turn = sample.turns[place];
    return RE.fold(
      el(
        "span",
        {},
        `${turn.speaker || turn.part.replace(/_/g, " ")}: ${(turn.text || turn.raw || "").slice(0, 80)}`,
        turn.note ? ` (${turn.note})` : "",
      ),
      () => [
        el("p", { class: "label" }, "A call of the protocol that nobody in the conversation hears"),
        RE.marked(turn.raw || turn.text || "", []),
        sent(turn),
      ],
    );
  };

  // What comes before the first turn: who is played, in which setting, and what was asked.
  RE.setting = (sample) => {
    const { persona } = sample;
    const asked = !sample.turns.some((turn) => turn.text === sample.question);
    const blocks = [];
    if (persona.role || persona.description) {
      blocks.push(
        el(
          "section",
          { class: "persona", "aria-label": "Persona" },
          el(
            "h2",
            {},
            persona.role || "Persona",
            " ",
            el("span", { class: "label" }, RE.languageName(persona.language)),
          ),
          persona.description && RE.marked(persona.description, []),
        ),
      );
    }
    const material = Object.entries(sample.material).filter(([, text]) => text && text !== sample.question);
    if (material.length) {
      blocks.push(
        el(
          "div",
          { class: "folds" },
          material.map(([name, text]) => RE.fold(name.replace(/_/g, " "), () => RE.marked(text, []))),
        ),
      );
    }
    if (asked && sample.question) {
      blocks.push(
        el(
          "article",
          { class: RE.isSingle(sample) ? "turn other" : "turn scene" },
          el("header", {}, el("span", { class: "speaker" }, RE.isSingle(sample) ? "Question" : "Setting")),
          RE.marked(sample.question, []),
        ),
      );
    }
    return blocks;
  };
  RE.references = (sample) => {
    const all = Object.entries(sample.references).filter(([, texts]) => texts.length);
    return all.length
      ? el(
          "section",
          { "aria-label": "References" },
          el("h2", {}, "References"),
          all.map(([name, texts]) =>
            RE.fold(
              `${name} (${RE.count(texts.length, "answer", "answers")})`,
              () => texts.map((text) => el("div", { class: "reference" }, RE.marked(text, []))),
              RE.isSingle(sample),
            ),
          ),
        )
      : null;
  };

  // The whole conversation. Later turns are added while the browser is idle, and all of them at once when one is wanted.
  RE.conversation = (sample, { findings = [], onMark, classOf, linkOf, label } = {}) => {
    const names = [...new Set(sample.turns.filter((turn) => turn.part === "model").map((turn) => turn.speaker))];
    const several = names.length > 1 ? names : null;
    const box = el("div", { class: "talk" });
    let next = 0;
    const draw = (until) => {
      const made = [];
      for (; next < Math.min(until, sample.turns.length); next += 1) {
        const place = next;
        if (sample.turns[place].aside) made.push(RE.aside(sample, place));
        else
          made.push(
            RE.turn(sample, place, {
              marks: findings.filter((finding) => finding.turnPlace === place),
              onMark,
              classOf,
              names: several,
              link: linkOf && linkOf(place),
              label,
            }),
          );
      }
      box.append(...made);
    };
    draw(FIRST);
    const later = () => {
      if (next >= sample.turns.length || !box.isConnected) return;
      draw(next + FIRST);
      requestAnimationFrame(later);
    };
    requestAnimationFrame(later);
    return { node: box, drawTo: (place) => draw(place + 1) };
  };

  // A sample's values as a table: label, value, and in words why one is missing.
  RE.valueTable = (set, about, samples, heads) => {
    const found = new Map();
    samples.forEach((sample, which) => {
      for (const [number, value, status, detail] of sample.values) {
        const [name, protocol] = about[which].columns[number];
        const key = `${name}\n${protocol}`;
        if (!found.has(key)) found.set(key, { name, protocol, cells: [] });
        found.get(key).cells[which] = { value, status, detail };
      }
    });
    const order = new Map(set.metrics.map((info, place) => [info.name, place]));
    const all = [...found.values()].sort(
      (a, b) => order.get(a.name) - order.get(b.name) || a.protocol.localeCompare(b.protocol),
    );
    const isShown = (row) =>
      set.headline.includes(row.name) || row.cells.some((cell) => cell && cell.status && cell.status !== "ok");
    const rowOf = ({ name, protocol, cells }) => {
      const info = set.info.get(name);
      return el(
        "tr",
        {},
        el(
          "th",
          { scope: "row", class: "first", title: info ? `${info.recipe} ${info.caution}`.trim() : name },
          RE.metricLabel(set, name),
          protocol && el("span", { class: "label" }, protocol),
          info && el("span", { class: "label" }, RE.arrow(info)),
        ),
        samples.map((_, which) => {
          const cell = cells[which];
          if (!cell) return el("td", { class: "num" }, "–");
          const odd = cell.status && cell.status !== "ok";
          return el(
            "td",
            { class: "num", title: cell.detail || undefined },
            RE.number(info, cell.value),
            odd && el("small", { class: "line status" }, RE.statusWords(cell.status)),
          );
        }),
      );
    };
    const table = (rows, caption) =>
      el(
        "table",
        { class: "results values" },
        el("caption", { class: "hide" }, caption),
        heads &&
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "col", class: "first" }, "Metric"),
              heads.map((head) => el("th", { scope: "col", class: "num" }, head)),
            ),
          ),
        el("tbody", {}, rows.map(rowOf)),
      );
    const [shown, rest] = [all.filter(isShown), all.filter((row) => !isShown(row))];
    return el(
      "section",
      { "aria-label": "Values" },
      el("h2", {}, "Values"),
      all.length
        ? table(shown, "Headline metrics of this sample")
        : el("p", {}, "No metric has a value for this sample."),
      rest.length > 0 &&
        RE.fold(`${RE.count(rest.length, "further metric", "further metrics")}`, () =>
          table(rest, "Further metrics of this sample"),
        ),
    );
  };
})();

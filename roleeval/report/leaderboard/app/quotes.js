// Finds the words that a judge quotes in the text that it judged, and marks them there.
"use strict";

(() => {
  const { el } = RE;
  const MARKS = {
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "「": '"',
    "」": '"',
    "『": '"',
    "』": '"',
    "‘": "'",
    "’": "'",
    "‚": "'",
  };

  const PLAIN = /^[\x21-\x7e]$/;
  // A text without differences that a quotation may have (white space, marks, full-width forms, case), and for each of
  // its characters the place in the text.
  const even = (text) => {
    const places = [];
    let out = "";
    let gap = true;
    for (let at = 0; at < text.length; at += 1) {
      const char = text[at];
      if (/\s/.test(char)) {
        if (!gap) {
          out += " ";
          places.push(at);
        }
        gap = true;
        continue;
      }
      gap = false;
      const same = PLAIN.test(char) ? char.toLowerCase() : MARKS[char] || char.normalize("NFKC").toLowerCase();
      for (const each of same) {
        out += each;
        places.push(at);
      }
    }
    return { out, places };
  };
  const trimmed = (text) => even(text).out.replace(/^[ "']+|[ "']+$/g, "");

  // Pieces of a text that a quote is, as [start, end]; [] where it is not there. "..." leaves something out, and a quote
  // that was cut off counts by its beginning.
  const locate = (quote, text, evened) => {
    const bare = quote.trim();
    const exact = bare ? text.indexOf(bare) : -1;
    if (exact >= 0) return [[exact, exact + bare.length]];
    const known = evened();
    const whole = trimmed(quote);
    const tries = [
      [whole],
      quote
        .split(/\.{3,}|…/)
        .map(trimmed)
        .filter(Boolean),
      [whole.slice(0, Math.floor(whole.length * 0.8))],
    ];
    for (const parts of tries) {
      const found = [];
      let from = 0;
      for (const part of parts) {
        const at = part.length > 1 || parts.length === 1 ? known.out.indexOf(part, from) : -1;
        if (at < 0 || !part) break;
        from = at + part.length;
        found.push([known.places[at], known.places[from - 1] + 1]);
      }
      if (found.length && found.length === parts.length) return found;
    }
    return [];
  };

  // The findings of a sample's judgements: every quoted part with its judge, and the turns and places where it stands.
  RE.findings = (sample, about, judgedTurns) => {
    const found = [];
    const evened = new Map();
    const evenTurn = (number) => {
      if (!evened.has(number)) evened.set(number, even(sample.turns[number].text || ""));
      return evened.get(number);
    };
    for (const [place, judgement] of (sample.judgements || []).entries()) {
      for (const part of judgement.parts || []) {
        const finding = {
          ...part,
          judge: about.judges[judgement.judge],
          judgement: place,
          item: judgement.item,
          repeat: judgement.repeat || 0,
          slots: judgement.slots || [],
          turnPlace: null,
          spans: [],
        };
        if (part.quote) {
          const first = Number.isInteger(part.turn) && sample.turns[part.turn] ? [part.turn] : [];
          for (const number of [...first, ...judgedTurns.filter((each) => each !== part.turn)]) {
            const spans = locate(part.quote, sample.turns[number].text || "", () => evenTurn(number));
            if (spans.length) {
              finding.turnPlace = number;
              finding.spans = spans;
              break;
            }
          }
        }
        if (part.quote || part.why || part.score !== undefined || part.winner !== undefined || part.ranking)
          found.push(finding);
      }
    }
    const rank = (finding) => [
      finding.quote && finding.turnPlace !== null ? 0 : finding.quote ? 1 : 2,
      -(finding.severity || 0),
    ];
    found.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
    found.forEach((finding, number) => {
      finding.number = number;
    });
    return found;
  };
  RE.severityClass = (finding, most) => {
    if (finding.severity === undefined) return "note";
    const share = finding.severity / Math.max(most, 1);
    return share > 0.67 ? "severe" : share > 0.34 ? "middle" : "light";
  };

  const LIMIT = 20_000;
  // A text with marks: the text is cut where marks begin and end, and each piece is a text node.
  RE.marked = (text, marks, { onMark, classOf } = {}) => {
    const box = el("div", { class: "text", dir: "auto" });
    const draw = (limit) => {
      const shown = text.slice(0, limit);
      const edges = [
        ...new Set([0, shown.length, ...marks.flatMap(({ span }) => span.filter((at) => at < shown.length))]),
      ].sort((a, b) => a - b);
      const pieces = [];
      for (let i = 0; i + 1 < edges.length; i += 1) {
        const [from, to] = [edges[i], edges[i + 1]];
        const over = marks.filter(({ span }) => span[0] <= from && span[1] >= to);
        const piece = shown.slice(from, to);
        if (!over.length) pieces.push(piece);
        else {
          const first = over[0].finding;
          pieces.push(
            el(
              "mark",
              {
                class: classOf(first),
                data: { finding: String(first.number) },
                tabindex: "0",
                role: "button",
                title: over.map(({ finding }) => RE.findingTitle(finding)).join("\n"),
                on: {
                  click: () => onMark(first),
                  keydown: (event) => {
                    if (event.key === "Enter") {
                      event.stopPropagation();
                      onMark(first);
                    }
                  },
                },
              },
              piece,
            ),
          );
        }
      }
      RE.replace(box, pieces);
      if (text.length > limit) {
        const more = Math.min(text.length, limit * 10);
        box.append(
          el(
            "p",
            { class: "more" },
            `… ${RE.count(text.length - limit, "character", "characters")} more. `,
            RE.button(more === text.length ? "Show all" : `Show ${RE.count(more - limit, "more", "more")}`, () =>
              draw(more),
            ),
          ),
        );
      }
    };
    draw(Math.max(LIMIT, ...marks.map(({ span }) => span[1] + 2000)));
    return box;
  };
  // Which run a judge's letter stands for: "A" is the first that was shown.
  const slotName = (finding, letter) => {
    const run = finding.slots["ABCDEFGHIJKLMNOPQRSTUVWXYZ".indexOf(letter)];
    return run ? `${run} (shown as ${letter})` : letter;
  };
  RE.findingTitle = (finding) => {
    const what = [
      finding.kind || finding.about,
      finding.dimension && finding.dimension !== finding.kind && `(${finding.dimension})`,
    ]
      .filter(Boolean)
      .join(" ")
      .replace(/_/g, " ");
    const words = [what || RE.judgeName(finding.judge)];
    if (finding.severity !== undefined) words.push(`severity ${finding.severity}`);
    if (finding.score !== undefined) words.push(`score ${finding.score}`);
    if (finding.winner !== undefined)
      words.push(finding.winner === "tie" ? "a tie" : `winner ${slotName(finding, finding.winner)}`);
    if (finding.ranking) words.push(`order ${finding.ranking.map((letter) => slotName(finding, letter)).join(" > ")}`);
    return words.join(", ");
  };
})();

// What the index and the shards hold, in the words of the page: sets, rows, runs, metrics, values.
"use strict";

(() => {
  const DECIMALS = { words: 1, characters: 1, points: 2, count: 2, rank: 2, rate: 2 };
  const LANGUAGES = { en: "English", zh: "Chinese" };
  // Why a value is missing, or why it is what it is; the statuses of roleeval.types.
  RE.STATUSES = {
    ok: "answered",
    no_answer: "no answer: the model was asked and said nothing; that counts as the lowest value",
    truncated_reasoning: "no answer: the reasoning used up the limit of new tokens; that counts as the lowest value",
    refused: "refused: the server or the model declined; that counts as the lowest value",
    unsupported_role: "missing: the model cannot play this role",
    context_overflow: "missing: the prompt and the answer's limit are longer than the model's context",
    judge_failed: "missing: no attempt of the judge gave a usable verdict, so there is no value; it is no 0",
    engine_failed: "missing: the call of the model failed",
    over_budget: "missing: the budget was spent before it was asked",
    metric_failed: "missing: the metric could not be computed",
  };
  RE.statusWords = (status) => RE.STATUSES[status] || status;

  RE.open = async () => {
    const index = await RE.load("index");
    const seen = {};
    index.sets.forEach((set, number) => {
      seen[set.benchmark] = (seen[set.benchmark] || 0) + 1;
      set.number = number;
      set.key = seen[set.benchmark] === 1 ? set.benchmark : `${set.benchmark}~${seen[set.benchmark]}`;
      set.info = new Map(set.metrics.map((info) => [info.name, info]));
      set.rows.forEach((row) => {
        row.set = set;
      });
    });
    index.runs.forEach((run, number) => {
      run.number = number;
      run.folder = `r${number}`;
      run.set = index.sets.find((set) => set.rows.some((row) => row.runs.includes(number)));
    });
    RE.index = index;
  };

  RE.setOf = (key) => RE.index.sets.find((set) => set.key === key);
  RE.runOf = (benchmark, model, name) => RE.index.runs.find((run) => run.key === `${benchmark}/${model}/${name}`);
  RE.runPath = (run) => {
    const rest = run.key.slice(run.benchmark.length + 1);
    const cut = rest.lastIndexOf("/");
    return [run.benchmark, rest.slice(0, cut), rest.slice(cut + 1)];
  };
  RE.runLabel = (run) => {
    const row = run.set && run.set.rows.find((each) => each.runs.includes(run.number));
    return row && row.runs.length > 1 ? `${run.label}, seed ${run.seed}` : run.label;
  };

  // Values as reports print them; "–" where there is none.
  RE.number = (info, value) => {
    if (value === null || value === undefined) return "–";
    const decimals = info && info.unit in DECIMALS ? DECIMALS[info.unit] : 3;
    const text = value.toFixed(decimals);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
  };
  RE.signed = (info, value) => (value > 0 ? `+${RE.number(info, value)}` : RE.number(info, value));
  RE.unitWords = (info) => (info.unit === "fraction" ? "share, 0 to 1" : info.unit === "number" ? "" : info.unit);
  RE.better = (info) =>
    info.higher_is_better === true ? "higher is better" : info.higher_is_better === false ? "lower is better" : "";
  RE.arrow = (info) => (info.higher_is_better === true ? "↑" : info.higher_is_better === false ? "↓" : "");
  RE.count = (number, one, several) =>
    `${number.toLocaleString("en").replace(/,/g, " ")} ${number === 1 ? one : several}`;
  RE.millions = (value) => {
    if (value === null || value === undefined) return "–";
    if (value >= 1e9) return `${(value / 1e9).toFixed(1)} B`;
    if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
    return value >= 1e3 ? `${(value / 1e3).toFixed(0)} k` : String(value);
  };

  // A metric's judge and the rest of its name: "judge/gca@…" and "avg"; ["", name] for metrics without one.
  RE.judgeOf = (name) => {
    const found = /^(judge\/[^/]+)\/(.+)$/.exec(name);
    return found ? [found[1], found[2]] : ["", name];
  };
  RE.judgeName = (column) => column.replace(/^judge\//, "").replace(/@.*$/, "");
  RE.judges = (set) => [...new Set(set.metrics.map((info) => RE.judgeOf(info.name)[0]).filter(Boolean))];
  // A metric's label as in a report's tables, with its judge's name.
  RE.metricLabel = (set, name) => {
    const label = set.labels[name] || name;
    const [judge] = RE.judgeOf(name);
    return judge && !label.includes(judge) ? `${label} · ${RE.judgeName(judge)}` : label;
  };
  RE.groupLabel = (set, name) => {
    const group = set.groups.find((each) => each.name === name);
    if (!group) return name;
    const spoken = group.languages.map((language) => LANGUAGES[language] || language);
    const words = group.parts.length ? ` (mean of ${group.parts.length})` : "";
    // The language, where the set has several and the name does not begin with it ("zh_general", "eng/AVG").
    const several = new Set(set.groups.flatMap((each) => each.languages)).size > 1;
    const isSaid = group.languages.some((language) => name.startsWith(language));
    return `${name.replace(/_/g, " ")}${words}${several && spoken.length === 1 && !isSaid ? `, ${spoken[0]}` : ""}`;
  };
  RE.languageName = (language) => LANGUAGES[language] || language;

  // The entry to show of a row for a metric in a group. A metric without references has splits instead of protocols.
  RE.entry = (set, entries, metric, groupName) => {
    const groups = entries[metric];
    if (!groups) return null;
    if (groups[groupName]) return RE.readEntry(groups[groupName]);
    const group = set.groups.find((each) => each.name === groupName);
    if (
      !group ||
      Object.keys(groups).some((name) => name.includes("/") && group.splits.some((s) => name.startsWith(`${s}/`)))
    )
      return null;
    if (group.splits.length === 1 && groups[group.splits[0]]) return RE.readEntry(groups[group.splits[0]]);
    return null;
  };
  RE.readEntry = ([mean, low, high, n, missing, clusters, method, bounds, spread, statuses]) => ({
    mean,
    low,
    high,
    n,
    missing,
    clusters,
    method,
    bounds,
    spread,
    statuses: statuses || {},
  });
  RE.entryWords = (set, info, entry) => {
    if (!entry || entry.mean === null || entry.mean === undefined) return "no value";
    const words = [RE.number(info, entry.mean)];
    if (entry.low !== null && entry.low !== undefined) {
      words.push(`95 % interval ${RE.number(info, entry.low)} to ${RE.number(info, entry.high)}`);
    } else words.push("no interval");
    words.push(
      RE.count(
        entry.n,
        info.per === "cluster" ? set.cluster[0] : "value",
        info.per === "cluster" ? set.cluster[1] : "values",
      ),
    );
    if (entry.missing) words.push(`${entry.missing} missing`);
    if (info.per !== "cluster") words.push(RE.count(entry.clusters, ...set.cluster));
    if (entry.method) words.push(entry.method);
    if (entry.bounds) {
      words.push(`bounds ${RE.number(info, entry.bounds[0])} (worst) to ${RE.number(info, entry.bounds[1])} (best)`);
    }
    if (entry.spread) words.push(`seeds ${RE.number(info, entry.spread[1])} to ${RE.number(info, entry.spread[2])}`);
    return words.join(", ");
  };
  RE.standing = (set, metric, group, row) => {
    const words = set.standings[`${metric} ${group}`];
    return words ? words[row] : "";
  };
  RE.STANDING_WORDS = { best: "best", tied: "not separable from the best (paired test, Holm-corrected)" };

  // The list of a run's samples, as columns, and its run.js.
  RE.samples = async (run) => {
    const about = await RE.load(`${run.folder}/run`);
    const pieces = await Promise.all(about.list.map((_, number) => RE.load(`${run.folder}/list${number}`)));
    const rows = pieces.flat();
    const place = Object.fromEntries(about.listColumns.map((name, number) => [name, number]));
    return { about, rows, place };
  };
  RE.sample = async (run, number) => {
    const about = await RE.load(`${run.folder}/run`);
    const { shard, place } = RE.piece(about.texts, number);
    return (await RE.load(`${run.folder}/t${shard}`))[place];
  };
  RE.column = async (run, number) => {
    const about = await RE.load(`${run.folder}/run`);
    const { shard, place } = RE.piece(about.values, number);
    return (await RE.load(`${run.folder}/v${shard}`))[place];
  };
  // One value for each sample: of a metric, in a group; null where it has none. Where a group is an average of several
  // protocols of one split, a sample's value is the mean of its values.
  RE.values = async (run, set, metric, groupName) => {
    const { about, rows, place } = await RE.samples(run);
    const group = set.groups.find((each) => each.name === groupName);
    const parts = group ? (group.parts.length ? group.parts : [group.name]) : about.splits;
    const found = {
      values: new Array(rows.length).fill(null),
      counts: new Uint8Array(rows.length),
      odd: {},
      inGroup: new Array(rows.length).fill(false),
    };
    const read = new Set();
    for (const part of parts) {
      const split = about.splits
        .filter((name) => part === name || part.startsWith(`${name}/`))
        .sort((a, b) => b.length - a.length)[0];
      if (split === undefined) continue;
      const code = about.splits.indexOf(split);
      const protocol = part.slice(split.length + 1);
      let number = about.columns.findIndex(([name, other]) => name === metric && other === protocol);
      if (number < 0) number = about.columns.findIndex(([name, other]) => name === metric && other === "");
      const isRead = read.has(`${code} ${number}`); // a metric without references has one value for all protocols
      read.add(`${code} ${number}`);
      const column = number < 0 || isRead ? null : await RE.column(run, number);
      rows.forEach((row, index) => {
        if (row[place.split] !== code) return;
        found.inGroup[index] = true;
        if (!column) return;
        const value = column.values[index];
        if (value !== null) {
          found.counts[index] += 1;
          found.values[index] =
            found.values[index] === null
              ? value
              : found.values[index] + (value - found.values[index]) / found.counts[index];
        }
        if (column.odd[index]) found.odd[index] = column.odd[index];
      });
    }
    return found;
  };
  RE.defaultGroup = (set) => (set.groups.find((group) => group.headline) || set.groups[0] || { name: "" }).name;
  RE.mainMetric = (set) => {
    const shown = set.headline.map((name) => set.info.get(name));
    const choice =
      shown.find((info) => info.primary && info.higher_is_better !== null) ||
      shown.find((info) => info.higher_is_better !== null);
    return (choice || shown[0] || set.metrics[0]).name;
  };
})();

// The trials of a search: what each tried, and what came of it.

import { brief, el, get, isNumber, short, table, tidy } from "./dom.js";
import { axis, figure, hover, plain, plot, quiet, shade } from "./plots.js";
import { colour, runs, shown, studies, writeAddress } from "./state.js";

const SYMBOLS = { COMPLETE: "circle", PRUNED: "x", FAIL: "triangle-up", RUNNING: "circle-open", WAITING: "square-open" };
const WORDS = { COMPLETE: "complete", PRUNED: "pruned", FAIL: "failed", RUNNING: "running", WAITING: "waiting" };
const INK = () => ({ COMPLETE: colour(0), PRUNED: quiet(), FAIL: colour(1), RUNNING: colour(2), WAITING: quiet() });
let parts = null, current = { version: -1, study: null }, onName = () => {};

export function start(name) {
  onName = name;
}

export function open(panel) {
  const which = el("select", { id: "study", change: (e) => {
    shown.study = e.target.value;
    writeAddress();
    refresh();
  } });
  parts = { which, said: el("p"), grid: el("div.grid"), list: el("div") };
  current = { version: -1, study: null };
  panel.append(el("div.bar", {}, el("label", {}, "search ", which)), parts.said, parts.grid, parts.list);
  refresh();
}

export async function refresh(again = false) {
  const row = studies.find((one) => one.file === shown.study) ?? studies.at(-1);
  parts.which.replaceChildren(...studies.map((one) =>
    el("option", { value: one.file, selected: one === row }, one.name ?? one.file)));
  parts.which.parentElement.hidden = !studies.length;
  if (!row) {
    parts.said.textContent = "No search is recorded here. Start one with: genbench search FAMILY";
    return;
  }
  if (!again && current.version === row.version && current.file === row.file) return;
  const answer = await get(`/api/studies/${encodeURIComponent(row.file)}`).catch(() => ({ problems: ["it is gone"] }));
  current = { version: row.version, file: row.file, study: answer.study };
  if (!answer.study) {
    parts.said.textContent = `This search's record is damaged: ${(answer.problems ?? []).join("; ")}`;
    parts.grid.replaceChildren();
    parts.list.replaceChildren();
    return;
  }
  draw(answer.study);
}

const valueOf = (trial) => (trial.values && isNumber(trial.values[0]) ? trial.values[0] : null);

function draw(study) {
  const goal = study.objectives[0], least = study.directions[0] === "minimize";
  const counts = {};
  study.trials.forEach((trial) => { counts[WORDS[trial.state]] = (counts[WORDS[trial.state]] ?? 0) + 1; });
  const best = study.trials.find((trial) => trial.number === study.best);
  parts.said.textContent = `${study.model} on ${study.data}, ${study.epochs} epochs a trial, ${goal} to be ` +
    `${least ? "small" : "large"}: ${Object.entries(counts).map(([word, n]) => `${n} ${word}`).join(", ")}` +
    (best ? `. Best: trial ${best.number} with ${short(valueOf(best))}.` : ".") +
    (study.objectives.length > 1 ? ` Also for ${study.objectives.slice(1).join(", ")} (not drawn).` : "");
  const boxes = [history(study, goal, least), parallel(study, goal, least),
    ...Object.keys(study.space).map((name) => against(study, name, goal))];
  parts.grid.replaceChildren(...boxes.map(([box]) => box));
  boxes.forEach(([box, traces, layout, height]) => plot(box.drawing, traces, layout, height));
  list(study, goal, least);
}

const told = (trial, goal) => hover([["trial", trial.number], ["state", WORDS[trial.state]],
  [goal, valueOf(trial) ?? "none"], ...Object.entries(trial.params)]);

function points(study, goal, x, y) {
  const ink = INK();
  return Object.keys(SYMBOLS).map((state) => {
    const trials = study.trials.filter((t) => t.state === state && valueOf(t) !== null && x(t) !== undefined);
    return { x: trials.map(x), y: trials.map(y), mode: "markers", name: WORDS[state], showlegend: trials.length > 0,
      marker: { symbol: SYMBOLS[state], size: 9, color: ink[state], line: { width: 1.5, color: ink[state] } },
      text: trials.map((t) => told(t, goal)), hovertemplate: "%{text}<extra></extra>" };
  });
}

function history(study, goal, least) {
  const done = study.trials.filter((trial) => trial.state === "COMPLETE" && valueOf(trial) !== null);
  let best = null;
  const line = done.map((trial) => {
    const value = valueOf(trial);
    best = best === null ? value : (least ? Math.min : Math.max)(best, value);
    return best;
  });
  const steps = { x: done.map((t) => t.number), y: line, mode: "lines", name: "best so far",
    line: { shape: "hv", color: quiet(), width: 1.5 }, hovertemplate: "best so far: %{y:.5g}<extra></extra>" };
  const box = figure("History", "circle: complete · cross: pruned at its last value · triangle: failed");
  const all = [steps, ...points(study, goal, (t) => t.number, valueOf)];
  return [box, all, { xaxis: axis("trial"), yaxis: axis(goal) }, 320];
}

const kindOf = (study, name) => {
  try {
    return JSON.parse(study.space[name]);
  } catch {
    return { name: "", attributes: {} };
  }
};

// Where a value lies on an axis of 0 to 1, as its distribution has it.
function place(distribution, value, all) {
  const { choices, low, high, log } = distribution.attributes ?? {};
  if (choices || !isNumber(value)) {
    const list = (choices ?? [...new Set(all.map(String))]).map(String);
    return list.length > 1 ? list.indexOf(String(value)) / (list.length - 1) : 0.5;
  }
  if (high === low) return 0.5;
  const on = log ? Math.log : (v) => v;
  return (on(value) - on(low)) / (on(high) - on(low));
}

function parallel(study, goal, least) {
  const names = Object.keys(study.space);
  const trials = study.trials.filter((t) => t.state === "COMPLETE" && valueOf(t) !== null);
  const values = trials.map(valueOf), low = Math.min(...values), high = Math.max(...values);
  const share = (value) => (high === low ? 1 : (least ? high - value : value - low) / (high - low));
  const lines = trials.sort((a, b) => share(valueOf(a)) - share(valueOf(b))).map((trial) => {
    const good = share(valueOf(trial));
    const all = names.map((name) => place(kindOf(study, name), trial.params[name], trials.map((t) => t.params[name])));
    return { x: [...names.keys(), names.length], y: [...all, good], mode: "lines+markers",
      line: { color: shade(good), width: trial.number === study.best ? 4 : 1.8 }, marker: { size: 5, color: shade(good) },
      opacity: 0.9, text: Array(names.length + 1).fill(told(trial, goal)), hovertemplate: "%{text}<extra></extra>" };
  });
  const ends = names.flatMap((name, i) => {
    const { choices, low: least_, high: most } = kindOf(study, name).attributes ?? {};
    const marks = choices ? choices.map((c, k) => [c, choices.length > 1 ? k / (choices.length - 1) : 0.5])
      : [[least_, 0], [most, 1]];
    return marks.map(([text, y]) => ({ x: i, y, text: plain(tidy(text)), showarrow: false, xanchor: "left", xshift: 5,
      font: { size: 10, color: quiet() } }));
  });
  const goals = [[least ? high : low, 0], [least ? low : high, 1]].map(([value, y]) => ({ x: names.length, y,
    text: short(value), showarrow: false, xanchor: "left", xshift: 5, font: { size: 10, color: quiet() } }));
  const box = figure("Parallel coordinates", `a line a complete trial (${trials.length} of ${study.trials.length}); yellow and high on the right: good`);
  box.classList.add("broad");
  return [box, lines, {
    xaxis: axis("", { tickvals: [...names.keys(), names.length], ticktext: [...names, goal].map(plain),
      range: [-0.2, names.length + 0.6], showgrid: true }),
    yaxis: axis("", { showticklabels: false, range: [-0.08, 1.08], showgrid: false }), annotations: trials.length ? [...ends, ...goals] : [],
    margin: { l: 12, r: 12, t: 24, b: 36 },
  }, 320];
}

function against(study, name, goal) {
  const { name: kind, attributes = {} } = kindOf(study, name);
  const category = Boolean(attributes.choices);
  const x = (trial) => (category && trial.params[name] !== undefined ? String(trial.params[name]) : trial.params[name]);
  const box = figure(name, attributes.log ? "log scale" : "");
  const order = category ? { type: "category", categoryorder: "array", categoryarray: attributes.choices.map(String) } : {};
  if (kind === "IntDistribution" && attributes.high - attributes.low <= 8) order.dtick = 1;
  return [box, points(study, goal, x, valueOf),
    { xaxis: axis(name, attributes.log ? { type: "log", ...decades(attributes) } : order), yaxis: axis(goal) }, 230];
}

// Where a log axis is marked: at 1, 2 and 5 of each power of ten, and at its ends where these are few.
function decades({ low, high }) {
  const marks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    marks.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
  }
  const inside = marks.filter((mark) => mark >= low * 0.99 && mark <= high * 1.01);
  const few = inside.length > 7 ? inside.filter((mark) => /^1/.test(mark.toExponential())) : inside;
  const tickvals = few.length > 1 ? few : [low, high];
  return { tickvals, ticktext: tickvals.map((mark) => tidy(mark, 3)) };
}

function list(study, goal, least) {
  const names = Object.keys(study.space);
  const rank = (trial) => (valueOf(trial) === null ? Infinity : (least ? 1 : -1) * valueOf(trial));
  const sorted = [...study.trials].sort((a, b) =>
    (a.state !== "COMPLETE") - (b.state !== "COMPLETE") || rank(a) - rank(b));
  const rows = sorted.map((trial) => [
    trial.number, `${WORDS[trial.state]}${trial.number === study.best ? " (best)" : ""}${trial.defaults ? " (defaults)" : ""}`,
    valueOf(trial) ?? "", ...names.map((name) => tidy(trial.params[name] ?? "", 4)),
    runs.has(trial.run) ? el("button.link", { type: "button", click: () => onName(trial.run) }, brief(trial.run)) : "",
  ]);
  parts.list.replaceChildren(el("h2", {}, "Trials, best first"),
    table(["trial", "state", goal, ...names, "run"], rows, (i) => i !== 1 && i !== names.length + 3));
}

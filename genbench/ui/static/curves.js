// Curves of the ticked runs, which grow while these train.

import { el, isNumber } from "./dom.js";
import { axis, figure, plain, plot, quiet } from "./plots.js";
import { colour, colourOf, logOf, runs, shown, ticked, titles, writeAddress } from "./state.js";

const PAIRS = [
  ["Losses", "loss_d", "loss_g"], ["D's probability", "d_real", "d_fake"],
  ["D's logits", "logit_real", "logit_fake"],
  ["Norms of gradients", "grad_norm_d", "grad_norm_g"],
  ["D's ROC AUC", "accuracy", "accuracy_train"],
  ["Variety of the samples", "spread", "nearest"],
  ["What the code knows", "knn_accuracy", "probe_accuracy"],
];
// what is looked at first, of what a family logs
const FIRST = [/^loss_d$/, /^d_real$/, /^kid_/, /^elbo$/, /^reconstruction$/, /^kl$/, /^loss$/, /^fi?d_/];
const SHOWN = 4;
const STYLES = ["solid", "dash", "dot", "dashdot"];
const MOST = 1500; // points of a line

let boxes = new Map(); // by title
let parts = null;

export function open(panel) {
  boxes = new Map();
  const choose = (name, value) => { shown[name] = value; writeAddress(); draw(); };
  const xs = el("select", { change: (e) => choose("x", e.target.value), id: "x" },
    ["epoch", "step", "seconds"].map((x) => el("option", { value: x, selected: x === shown.x }, x)));
  const smooth = el("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: shown.smooth,
    id: "smooth", input: (e) => choose("smooth", Number(e.target.value)) });
  const log = el("input", { type: "checkbox", id: "log", checked: shown.log,
    change: (e) => choose("log", e.target.checked) });
  parts = { charts: el("div.chips", { role: "group", "aria-label": "Charts" }), count: el("summary"), grid: el("div.grid"),
    key: el("p.quiet"), seconds: xs.lastChild };
  panel.append(
    el("div.bar", {}, el("label", {}, "x ", xs), el("label", {}, "smooth ", smooth),
      el("label", {}, log, " log scale"), el("details.picker", {}, parts.count, parts.charts), parts.key),
    parts.grid);
  refresh();
}

// The charts that the logs of the ticked runs make: {title, scalars, points, floor}.
function charts() {
  const names = new Map(); // scalar -> points of its longest line
  let seconds = false;
  for (const run of ticked()) {
    for (const scalars of Object.values(logOf(run)?.splits ?? {})) {
      for (const [name, line] of Object.entries(scalars)) {
        names.set(name, Math.max(names.get(name) ?? 0, line.y.length));
        seconds ||= line.seconds.some(isNumber);
      }
    }
  }
  parts.seconds.hidden = parts.seconds.disabled = !seconds;
  const found = [], taken = new Set(["seconds"]);
  const add = (title, scalars) => {
    scalars.forEach((name) => taken.add(name));
    const points = Math.max(...scalars.map((name) => names.get(name)));
    const order = FIRST.findIndex((first) => first.test(scalars[0]));
    found.push({ title, scalars, points, order: order < 0 ? FIRST.length : order });
  };
  for (const [title, ...pair] of PAIRS) {
    const logged = pair.filter((name) => names.has(name));
    if (logged.length === pair.length) add(title, logged);
  }
  for (const name of names.keys()) {
    if (!taken.has(name) && !name.startsWith("floor_")) add(heading(name), [name]);
  }
  return found.sort((a, b) => a.order - b.order || b.points - a.points);
}

function heading(name) {
  const known = titles[name];
  const better = { minimize: " ↓", maximize: " ↑" }[known?.better] ?? "";
  return known ? `${known.title}${known.unit ? ` (${known.unit})` : ""}${better}` : name;
}

export function refresh() {
  const all = charts();
  const first = all.filter((chart) => chart.points > 1 && chart.order < FIRST.length);
  const chosen = new Set(shown.charts ?? first.slice(0, SHOWN).map((chart) => chart.scalars[0]));
  const focused = document.activeElement?.dataset?.chart;
  parts.charts.replaceChildren(...all.map((chart) => {
    const key = chart.scalars[0];
    return el("button.chip", { type: "button", "data-chart": key, title: chart.scalars.join(", "),
      "aria-pressed": String(chosen.has(key)),
      click: () => {
        chosen.has(key) ? chosen.delete(key) : chosen.add(key);
        shown.charts = [...chosen];
        writeAddress();
        refresh();
      } }, chart.title);
  }));
  parts.count.textContent = `charts: ${all.filter((chart) => chosen.has(chart.scalars[0])).length} of ${all.length}`;
  if (focused) parts.charts.querySelector(`[data-chart="${CSS.escape(focused)}"]`)?.focus();
  const drawn = all.filter((chart) => chosen.has(chart.scalars[0]));
  const keep = new Map();
  for (const chart of drawn) {
    const box = boxes.get(chart.title) ?? figure(chart.title);
    box.chart = chart;
    keep.set(chart.title, box);
  }
  boxes = keep;
  const now = [...boxes.values()];
  if (now.length !== parts.grid.children.length || now.some((b, i) => b !== parts.grid.children[i])) {
    parts.grid.replaceChildren(...now);
  }
  if (!ticked().length) parts.grid.replaceChildren(el("p.quiet", {}, "Tick runs in the table to see their curves."));
  else if (!all.length) parts.grid.replaceChildren(el("p.quiet", {}, "The ticked runs have logged nothing yet."));
  parts.key.textContent = "thin: training · thick: validation · diamond: test";
  draw();
}

function draw() {
  for (const box of boxes.values()) drawOne(box);
}

function drawOne(box) {
  const { scalars } = box.chart, names = ticked(), traces = [];
  let positive = false, floored = false;
  names.forEach((run) => {
    for (const [split, logged] of Object.entries(logOf(run)?.splits ?? {})) {
      scalars.forEach((scalar, k) => {
        const line = logged[scalar];
        if (!line) return;
        positive ||= line.y.some((y) => y > 0);
        const ink = names.length > 1 || scalars.length === 1 ? colourOf(run) : colour(k);
        traces.push(...curve(line, { run, split, scalar, ink, dash: STYLES[k],
          label: [runs.get(run).name, scalars.length > 1 ? scalar : "", split] }));
      });
      const floor = scalars.length === 1 && logged[`floor_${scalars[0]}`];
      if (floor) {
        floored = true;
        traces.push(level(floor.y.at(-1), logged[scalars[0]]?.[shown.x] ?? floor[shown.x], names, split));
      }
    }
  });
  const log = shown.log && positive;
  const words = [
    scalars.length > 1 ? scalars.map((s, k) => `${["—", "- -", "···", "-·-"][k]} ${s}`).join("  ") : "",
    floored ? "dotted: floor, real against real" : "",
    shown.log && !positive ? "no positive values: not on a log scale" : "",
  ].filter(Boolean).join(" · ");
  if (box.words.textContent !== words) box.words.textContent = words;
  plot(box.drawing, traces, {
    xaxis: axis(shown.x, { rangemode: "tozero" }), yaxis: axis("", { type: log ? "log" : "linear" }),
  });
}

function level(y, xs, names, split) {
  const last = Math.max(...names.map((name) => runs.get(name)?.[shown.x === "epoch" ? "epochs" : ""] ?? 0),
    ...xs.filter(isNumber));
  return { x: [0, last], y: [y, y], mode: "lines", line: { color: quiet(), width: 1.5, dash: "dot" },
    name: `floor: real against real, ${split}`, hovertemplate: "%{y:.4g}<extra>%{fullData.name}</extra>" };
}

function curve(line, { run, split, ink, dash, label }) {
  const [x, y] = thin(line[shown.x] ?? line.epoch, line.y);
  const strong = split !== "train", single = line.y.length === 1;
  const common = { x, name: plain(label.filter(Boolean).join(" · ")), connectgaps: false, meta: run,
    hovertemplate: `%{x:.4g}: %{y:.5g}<extra>%{fullData.name}</extra>` };
  const drawn = { ...common, y, mode: single || split === "test" ? "markers" : "lines",
    opacity: strong ? 1 : 0.6, line: { color: ink, width: strong ? 2.2 : 1.2, dash },
    marker: { color: ink, size: split === "test" ? 9 : 6, symbol: split === "test" ? "diamond" : "circle" } };
  if (!single && strong && y.length <= 30 && split !== "test") drawn.mode = "lines+markers";
  if (!shown.smooth || y.length < 8) return [drawn];
  return [{ ...drawn, opacity: 0.2, hoverinfo: "skip", hovertemplate: undefined, mode: "lines" },
    { ...drawn, y: smoothed(y, shown.smooth), mode: "lines" }];
}

// An exponential mean without the bias of its start.
function smoothed(y, weight) {
  let mean = 0, total = 0;
  return y.map((value) => {
    if (!isNumber(value)) return null;
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

// Of a long line the least and the greatest value of each stretch.
function thin(x, y) {
  if (y.length <= MOST) return [x, y];
  const every = Math.ceil((2 * y.length) / MOST), kept = [];
  for (let i = 0; i < y.length; i += every) {
    let low = i, high = i;
    for (let k = i; k < Math.min(i + every, y.length); k++) {
      if (y[k] < y[low]) low = k;
      if (y[k] > y[high] || y[k] === null) high = k;
    }
    kept.push(...new Set([Math.min(low, high), Math.max(low, high)]));
  }
  return [kept.map((i) => x[i]), kept.map((i) => y[i])];
}

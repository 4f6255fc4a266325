// The table of runs: sorted, filtered, with the fields in which the shown ones differ.

import { $, brief, duration, el, isNumber, short, tidy } from "./dom.js";
import { colourOf, folder, runs, shown, ticked, writeAddress } from "./state.js";

export const NOT_COMPARED = new Set(["runs_dir", "wandb", "device", "save", "group", "data_dir",
  "checkpoint_minutes", "log_every", "data", "seed", "epochs"]);
const MARKS = { running: "●", finished: "✓", pruned: "✂", failed: "✕", damaged: "!", unfinished: "…" };
const SIGNS = { "=": (a, b) => a === b, "!=": (a, b) => a !== b, "<": (a, b) => a < b,
  ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b };
const FIXED = [
  { key: "name", title: "run", text: true, value: (run) => run.name },
  { key: "status", title: "status", text: true, value: (run) => run.status },
  { key: "score", title: "score", value: (run) => run.score },
  { key: "objective", title: "of", text: true, value: (run) => run.objective },
  { key: "model", title: "model", text: true, value: (run) => run.model },
  { key: "data", title: "data", text: true, value: (run) => run.config?.data },
  { key: "seed", title: "seed", value: (run) => run.config?.seed },
  { key: "epochs", title: "epochs", value: (run) => run.epochs },
  { key: "seconds", title: "time", value: (run) => run.seconds },
];
let onTick = () => {}, onName = () => {};
let order = [], rows = new Map(), columns = [];

export function start(tick, name) {
  [onTick, onName] = [tick, name];
  $("filter").addEventListener("input", () => {
    shown.filter = $("filter").value;
    writeAddress();
    draw();
  });
  $("tick-shown").addEventListener("click", () => setTicked([...new Set([...ticked(), ...order])]));
  $("untick").addEventListener("click", () => setTicked([]));
}

export function setTicked(names) {
  shown.ticked = names;
  writeAddress();
  marks();
  onTick();
}

const field = (run, key) => {
  const fixed = FIXED.find((column) => column.key === key || column.title === key);
  return fixed ? fixed.value(run) : run.config?.[key] ?? run[key];
};

// Words that a run has to have in its texts, and conditions such as latent_dim>8.
function matches(filter) {
  const tests = filter.split(/\s+/).filter(Boolean).map((word) => {
    const [, key, sign, wanted] = word.match(/^([\w/]+)(!=|<=|>=|=|<|>)(.*)$/) ?? [];
    if (!key) {
      const lower = word.toLowerCase();
      return (run) => [run.name, run.model, run.status, run.group, run.config?.data]
        .some((text) => String(text ?? "").toLowerCase().includes(lower));
    }
    return (run) => {
      const value = field(run, key);
      if (value === undefined || value === null) return sign === "!=";
      return isNumber(value) ? SIGNS[sign](value, Number(wanted))
        : SIGNS[sign](String(value).toLowerCase(), wanted.toLowerCase());
    };
  });
  return (run) => tests.every((test) => test(run));
}

function differing(list) {
  const values = new Map();
  for (const run of list) {
    for (const [key, value] of Object.entries(run.config ?? {})) {
      if (NOT_COMPARED.has(key)) continue;
      if (!values.has(key)) values.set(key, new Set());
      values.get(key).add(JSON.stringify(value));
    }
  }
  return [...values].filter(([, seen]) => seen.size > 1).map(([key]) => key);
}

function compare(key, down) {
  return (a, b) => {
    if (key === "score" && a.objective !== b.objective) {
      return (a.objective ?? "") < (b.objective ?? "") ? -1 : 1; // unlike scores are not ranked
    }
    const [x, y] = key === "created" ? [a.created, b.created] : [field(a, key), field(b, key)];
    const none = (v) => v === undefined || v === null || v === "" || v === "NaN";
    if (none(x) || none(y)) return none(x) - none(y);
    const sign = isNumber(x) && isNumber(y) ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return down ? -sign : sign;
  };
}

// All of the table, or, where no row moves, the rows of these runs alone.
export function draw(changed = null) {
  const [down, key] = [shown.sort.startsWith("-"), shown.sort.replace(/^-/, "")];
  const list = [...runs.values()].filter(matches(shown.filter)).sort(compare(key, down));
  const before = JSON.stringify([order, columns]);
  order = list.map((run) => run.name);
  columns = [...FIXED, ...differing(list).map((name) => ({ key: name, title: name, config: true,
    value: (run) => run.config?.[name], text: list.every((run) => !isNumber(run.config?.[name])) }))];
  if (!$("filter").matches(":focus")) $("filter").value = shown.filter;
  $("shown").textContent = order.length === runs.size ? `${runs.size} runs` : `${order.length} of ${runs.size} runs`;
  if (runs.size === 1) $("shown").textContent = "1 run";
  explain();
  const focused = document.activeElement?.closest?.("[data-focus]")?.dataset.focus;
  if (changed && before === JSON.stringify([order, columns])) {
    for (const name of changed.filter((one) => rows.has(one))) {
      const old = rows.get(name);
      rows.set(name, row(runs.get(name)));
      old.replaceWith(rows.get(name));
    }
  } else drawAll(list);
  if (focused) $("table").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  marks();
}

function drawAll(list) {
  rows = new Map(list.map((run) => [run.name, row(run)]));
  const at = [$("table").scrollLeft, $("table").scrollTop];
  $("table").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, el("th.tick"), columns.map(head))),
    el("tbody", {}, [...rows.values()])));
  [$("table").scrollLeft, $("table").scrollTop] = at;
}

function explain() {
  const none = folder.asked && !runs.size;
  $("nothing").hidden = !none;
  $("table").hidden = none;
  if (none) {
    $("nothing").textContent = folder.there
      ? `There are no runs in ${folder.path} yet. This page shows them as soon as a training begins.`
      : `There is no folder ${folder.path} yet. This page keeps looking: train, or name another folder.`;
  }
}

function head(column) {
  const sorted = shown.sort.replace(/^-/, "") === column.key;
  const down = sorted && shown.sort.startsWith("-");
  const turn = () => {
    shown.sort = sorted && !down ? `-${column.key}` : column.key;
    writeAddress();
    draw();
  };
  return el(column.text ? "th" : "th.number",
    { "aria-sort": sorted ? (down ? "descending" : "ascending") : false, scope: "col" },
    el("button.sort", { type: "button", click: turn, "data-focus": `sort ${column.key}` },
      column.title, sorted ? (down ? " ↓" : " ↑") : ""));
}

function row(run) {
  const box = el("input", { type: "checkbox", "aria-label": `compare ${run.name}`, "data-focus": `tick ${run.name}`,
    change: (e) => {
      const others = ticked().filter((name) => name !== run.name);
      setTicked(e.target.checked ? [...others, run.name] : others);
    } });
  const line = el("tr", { "data-run": run.name }, el("td.tick", {}, box));
  for (const column of columns) line.append(cell(run, column));
  return Object.assign(line, { box });
}

function cell(run, column) {
  const value = column.value(run);
  if (column.key === "name") {
    return el("td.name", {}, el("button.link", { type: "button", title: run.name, "data-focus": `name ${run.name}`,
      click: () => onName(run.name) }, brief(run.name)));
  }
  if (column.key === "status") {
    return el("td", { title: run.problems?.join("\n") || false }, el(`span.status.${run.status}`, {},
      el("span", { "aria-hidden": "true" }, `${MARKS[run.status] ?? ""} `), run.status,
      run.problems?.length && run.status !== "damaged" ? " (damaged)" : ""));
  }
  if (column.key === "epochs" && isNumber(value)) {
    const asked = run.config?.epochs;
    return el("td.number", {}, short(Math.floor(value * 10) / 10),
      run.status === "running" && asked ? el("span.quiet", {}, ` / ${asked}`) : "");
  }
  if (column.key === "seconds") return el("td.number", {}, duration(value));
  if (column.key === "score") return el("td.number", {}, short(value));
  if (column.key === "objective") {
    const last = isNumber(run.score) && !run.ended ? " (the last)" : "";
    return el("td.quiet", {}, `${value ?? ""}${last}`);
  }
  return el(column.text ? "td" : "td.number", {}, column.config ? tidy(value) : short(value));
}

// Which rows are ticked, and the colour of each.
export function marks() {
  const names = ticked();
  const chosen = new Set(names);
  for (const [name, line] of rows) {
    line.box.checked = chosen.has(name);
    line.classList.toggle("ticked", chosen.has(name));
    line.style.setProperty("--run", colourOf(name));
  }
  $("ticked").replaceChildren(...names.map((name) => {
    const chip = el("span.chip.run", { title: name }, el("span.dot", { "aria-hidden": "true" }),
      el("button.link", { type: "button", click: () => onName(name) }, brief(name)),
      el("button.close", { type: "button", "aria-label": `take ${name} out`,
        click: () => setTicked(names.filter((other) => other !== name)) }, "×"));
    chip.style.setProperty("--run", colourOf(name));
    return chip;
  }));
}

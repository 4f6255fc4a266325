// What is shown, which the address keeps, and what is known of the runs.

import { get, path } from "./dom.js";

// Okabe and Ito's colours, told apart by the colour-blind too; in the dark their lighter kin.
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#a8447f", "#8a6d00", "#3a9bd1", "#5b5b5b", "#000000"];
const DARK = ["#56b4e9", "#f0884a", "#2fc49a", "#e59ac4", "#f0e442", "#8fb8ff", "#b0b0b0", "#ffffff"];
const dark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => dark.matches;
export const colours = () => (dark.matches ? DARK : LIGHT);
export const colour = (i) => colours()[i % LIGHT.length];
export const onTheme = (f) => dark.addEventListener("change", f);

export const shown = {
  ticked: null, // names; null: not chosen yet
  tab: "curves", sort: "-created", filter: "", x: "epoch", smooth: 0, log: false,
  charts: null, // titles; null: those that a family shows first
  epoch: null, picture: "", study: "", run: "",
};
const DEFAULTS = { ...shown };

export function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  Object.assign(shown, DEFAULTS);
  for (const name of ["tab", "sort", "filter", "x", "picture", "study", "run"]) {
    if (asked.has(name)) shown[name] = asked.get(name);
  }
  if (asked.has("runs")) shown.ticked = asked.get("runs").split(",").filter(Boolean).map(decodeURIComponent);
  if (asked.has("charts")) shown.charts = asked.get("charts").split("|").filter(Boolean);
  shown.smooth = Math.min(0.99, Math.max(0, Number(asked.get("smooth")) || 0));
  shown.log = asked.get("log") === "1";
  shown.epoch = asked.has("epoch") ? Number(asked.get("epoch")) || 0 : null;
}

export function writeAddress() {
  const said = new URLSearchParams();
  for (const name of ["tab", "sort", "filter", "x", "picture", "study", "run"]) {
    if (shown[name] && shown[name] !== DEFAULTS[name]) said.set(name, shown[name]);
  }
  if (shown.ticked) said.set("runs", shown.ticked.map(encodeURIComponent).join(","));
  if (shown.charts) said.set("charts", shown.charts.join("|"));
  if (shown.smooth) said.set("smooth", shown.smooth);
  if (shown.log) said.set("log", "1");
  if (shown.epoch !== null) said.set("epoch", shown.epoch);
  history.replaceState(null, "", `#${said}`);
}

export const runs = new Map(); // by name: the rows of /api/runs
export let studies = [];
export let folder = { path: "", there: true, asked: false };
export const titles = {}; // of scalars
const asked = { since: 0, session: "" };

// Ask what changed; returns {changed: names, more}.
export async function poll() {
  const answer = await get(`/api/runs?since=${asked.since}&session=${encodeURIComponent(asked.session)}`);
  if (answer.session !== asked.session) runs.clear();
  Object.assign(asked, { since: answer.version, session: answer.session });
  const there = new Set(answer.names);
  let changed = answer.runs.length > 0;
  for (const name of [...runs.keys()]) {
    if (!there.has(name)) changed = runs.delete(name);
  }
  for (const run of answer.runs) runs.set(run.name, run);
  const before = JSON.stringify(studies);
  studies = answer.studies;
  folder = { path: answer.folder, there: answer.there, asked: true };
  return { changed, names: answer.runs.map((run) => run.name), more: answer.more,
    studies: before !== JSON.stringify(studies) };
}

export const ticked = () => (shown.ticked ?? []).filter((name) => runs.has(name));

// A ticked run keeps its colour while others come and go.
const slots = new Map();

export function colourOf(name) {
  const names = ticked();
  for (const other of slots.keys()) if (!names.includes(other)) slots.delete(other);
  for (const other of names.filter((one) => !slots.has(one))) {
    const used = new Set(slots.values());
    slots.set(other, [...Array(names.length).keys()].find((i) => !used.has(i)));
  }
  return slots.has(name) ? colour(slots.get(name)) : "transparent";
}

// The newest run, and those of its model beside it, until somebody chooses.
export function tickSome() {
  if (shown.ticked || !runs.size) return;
  const newest = [...runs.values()].filter((run) => run.status !== "damaged")
    .sort((a, b) => (a.created < b.created ? 1 : -1));
  shown.ticked = newest.filter((run) => run.model === newest[0].model).slice(0, 3)
    .map((run) => run.name);
}

// The logs of the ticked runs: each is asked for from the byte on that it was read to.
const logs = new Map(); // by name: {generation, at, splits: {split: {name: {epoch, step, y}}}}

export const logOf = (name) => logs.get(name);

// Whether the log had anything new.
export async function readLog(name) {
  const run = runs.get(name);
  let log = logs.get(name);
  if (!run || (log && log.generation === run.generation && log.seen === run.log)) return false;
  log = log ?? { generation: "", at: 0, ...nothing() };
  logs.set(name, log);
  for (let more = true; more;) {
    const answer = await get(`${path(name)}/log?at=${log.at}&generation=${log.generation}`);
    if (answer.anew) Object.assign(log, nothing());
    Object.assign(titles, answer.titles);
    Object.assign(log, { at: answer.at, generation: answer.generation });
    answer.rows.forEach((row) => add(log, row));
    more = answer.more;
  }
  log.seen = run.log;
  return true;
}

const nothing = () => ({ splits: Object.create(null), files: Object.create(null) });

function add(log, { step, epoch, split, ...rest }) {
  if ("file" in rest) {
    const name = String(rest.name).replace(/^samples\//, "");
    if (rest.file.endsWith(".png")) (log.files[name] ??= new Map()).set(Math.ceil(epoch), rest.file);
    return;
  }
  const scalars = (log.splits[split] ??= Object.create(null));
  for (const [name, value] of Object.entries(rest)) {
    const line = (scalars[name] ??= { epoch: [], step: [], seconds: [], y: [] });
    line.epoch.push(epoch);
    line.step.push(step);
    line.seconds.push(rest.seconds ?? null);
    line.y.push(typeof value === "number" ? value : null);
  }
}

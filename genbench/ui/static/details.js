// One run, whole; and what the ticked runs say beside it.

import { el, get, isNumber, path, short, table, tidy } from "./dom.js";
import { runs, shown, ticked, writeAddress } from "./state.js";

let box = null, drawn = "";

export function open(panel) {
  box = panel;
  drawn = "";
  refresh();
}

export async function refresh() {
  const name = runs.has(shown.run) ? shown.run : ticked()[0];
  const run = runs.get(name);
  if (!run) {
    box.replaceChildren(el("p.quiet", {}, "Choose a run by its name in the table."));
    return;
  }
  const stamp = `${name} ${run.stamp} ${run.status} ${ticked().join(" ")}`;
  if (stamp === drawn) return;
  drawn = stamp;
  if (run.status === "damaged") {
    box.replaceChildren(el("h2", {}, name), problems(run.problems));
    return;
  }
  const found = await get(path(name)).catch(() => null);
  if (drawn !== stamp) return;
  if (!found) {
    box.replaceChildren(el("p", {}, `${name} is gone.`));
    return;
  }
  draw(name, run, found);
}

const problems = (lines) => el("div", {}, el("h3", {}, "What is damaged"),
  el("ul.problem", {}, lines.map((line) => el("li", {}, line))));

const pairs = (object) => table(["", ""], Object.entries(object).map(([key, value]) => [key, tidy(value)]),
  (i, value) => i === 1 && String(value).length < 24);

function fold(title, open, ...inside) {
  return el("details.fold", { open }, el("summary", {}, title), ...inside);
}

function draw(name, run, { about, summary, evaluations, problems: wrong, commands }) {
  const { config, versions, images, ...rest } = about;
  const { scores = {}, error, ...end } = summary;
  box.replaceChildren(
    el("h2", {}, name),
    el("p.quiet", {}, `${run.status} · ${run.model} on ${config.data ?? "?"} · ` +
      `${about.parameters?.toLocaleString("en") ?? "?"} parameters · begun ${run.created}`),
    error ? el("p.problem", {}, error) : "",
    wrong.length ? problems(wrong) : "",
    el("div.commands", {}, commands.map(([why, command]) => line(why, command))),
    ...evaluations.map(evaluation),
    el("div.columns", {},
      el("div", {},
        ...(Object.keys(scores).length ? [el("h3", {}, "Scores"), scoreTable(scores)] : [])),
      el("div", {}, el("h3", {}, "Configuration"), pairs(config)),
      el("div", {}, el("h3", {}, "End"), Object.keys(end).length ? pairs(flat(end)) : el("p.quiet", {}, "It has not ended."),
        fold("Code, machine and data", false, pairs(flat({ ...rest, images, versions }))))),
  );
}

function flat(object, before = "") {
  return Object.fromEntries(Object.entries(object).flatMap(([key, value]) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.entries(flat(value, `${before}${key}.`)) : [[before + key, value]]));
}

function line(why, command) {
  const code = el("code", {}, command);
  const copy = el("button", { type: "button", "aria-label": `copy: ${command}`, click: async () => {
    await navigator.clipboard?.writeText(command).catch(() => {});
    copy.textContent = "copied";
    setTimeout(() => { copy.textContent = "copy"; }, 1200);
  } }, "copy");
  return el("p.command", {}, el("span.quiet", {}, why), code, copy);
}

// Scores with the floor of each beside it, those that have one first.
function scoreTable(scores) {
  const floored = (key) => key.replace("/", "/floor_") in scores;
  const all = Object.keys(scores).filter((key) => !key.includes("/floor_"));
  const names = [...all.filter(floored), ...all.filter((key) => !floored(key))];
  const floors = names.some(floored);
  const rows = names.map((key) => [key, scores[key],
    ...(floors ? [scores[key.replace("/", "/floor_")] ?? ""] : [])]);
  return table(["score", "value", ...(floors ? ["floor"] : [])], rows, (i) => i > 0);
}

function evaluation(found) {
  const { scores = [], sampler, created, ...rest } = found;
  const rows = scores.map((score) => [score.title, score.mean,
    score.interval && score.interval.every(isNumber) ? `[${short(score.interval[0])}, ${short(score.interval[1])}]` : "",
    score.draws, score.floor ?? "", score.protocol]);
  const heads = ["score", "mean", "95 % interval", "draws", "floor", "against"];
  return el("div", {}, el("h3", {}, `Evaluated ${created ?? ""}, samples by ${sampler}`),
    rows.length ? table(heads, rows, (i) => i > 0 && i < 5) : "", fold("All of it", false, pairs(flat(rest))));
}

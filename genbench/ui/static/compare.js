// The ticked runs beside each other: in which fields they differ, and what came of it.

import { brief, el, get, isNumber, path, short, tidy } from "./dom.js";
import { colourOf, runs, ticked } from "./state.js";
import { NOT_COMPARED } from "./table.js";

const known = new Map(); // by name: {stamp, scores, better}
let box = null;

export function open(panel) {
  box = panel;
  refresh();
}

export async function refresh() {
  const names = ticked().filter((name) => runs.get(name).status !== "damaged");
  await Promise.all(names.map(async (name) => {
    const { stamp } = runs.get(name);
    if (known.get(name)?.stamp === stamp) return;
    const found = await get(path(name)).catch(() => ({}));
    known.set(name, { stamp, scores: found.summary?.scores ?? {} });
  }));
  if (!names.length) {
    box.replaceChildren(el("p.quiet", {}, "Tick runs in the table to compare them."));
    return;
  }
  const fields = union(names, (name) => runs.get(name).config)
    .filter((key) => !NOT_COMPARED.has(key) || key === "seed" || key === "data" || key === "epochs");
  const differing = fields.filter((key) => new Set(names.map((name) => JSON.stringify(field(name, key)))).size > 1);
  const all = union(names, (name) => known.get(name).scores);
  const scores = [...all.filter((key) => /_n\d+$/.test(key)), ...all.filter((key) => !/_n\d+$/.test(key))]
    .filter((key) => !key.includes("/floor_"));
  const floor = (key) => {
    const found = new Set(names.map((name) => known.get(name).scores[key.replace("/", "/floor_")]).filter(isNumber));
    return found.size > 1 ? "differs" : [...found][0];
  };
  const unlike = new Set(names.map((name) => runs.get(name).data_hash)).size > 1;
  const floors = scores.some((key) => floor(key) !== undefined);
  const head = (name) => el("th.number", { scope: "col", title: name }, dot(name), brief(name));
  const rows = [
    ...differing.map((key) => line(key, names.map((name) => tidy(field(name, key) ?? "–")), floors ? [""] : [])),
    ...scores.map((key) => line(key, names.map((name) => short(known.get(name).scores[key] ?? "–")),
      floors ? [short(floor(key) ?? "")] : [])),
  ];
  const words = floors ? " Floor: the score of real pictures against others." : "";
  box.replaceChildren(
    unlike ? el("p.problem", {}, "Their data differ, so that their scores are of unlike kinds.") : "",
    el("p.quiet", {}, differing.length ? "First the fields in which they differ, then the scores of each at its best epoch."
      : names.length > 1 ? "They differ in no field." : "Tick another run to compare it with.", words),
    el("div.scroll.compared", { tabindex: 0, role: "region", "aria-label": "Comparison" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th"), names.map(head), floors ? el("th.number", {}, "floor") : "")),
      el("tbody", {}, rows))));
}

const field = (name, key) => runs.get(name).config?.[key];

const union = (names, of) => [...new Set(names.flatMap((name) => Object.keys(of(name) ?? {})))];

const line = (key, values, more) =>
  el("tr", {}, el("td", {}, key), [...values, ...more].map((value) => el("td.number", {}, value)));

function dot(name) {
  const mark = el("span.dot", { "aria-hidden": "true" });
  mark.style.setProperty("--run", colourOf(name));
  return mark;
}

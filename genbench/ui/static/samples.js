// The ticked runs' pictures side by side, by epoch, and the real ones.

import { brief, el, get, path, picture } from "./dom.js";
import { colourOf, logOf, runs, shown, ticked, writeAddress } from "./state.js";

const MS = 350; // an epoch, while it plays
const KEPT = { neighbours: "samples, each with its nearest training pictures",
  interpolations: "ways between two codes", manifold: "decoded over the plane of the codes",
  samples: "samples of the end", originals: "real pictures",
  reconstructions: "reconstructions of the real pictures" };
const details = new Map(); // by name: {stamp, kept, grids}
let parts = null, cards = new Map(), playing = 0;

export function open(panel) {
  cards = new Map();
  const which = el("select", { id: "which", change: (e) => {
    shown.picture = e.target.value;
    writeAddress();
    refresh();
  } });
  const slider = el("input", { type: "range", id: "epoch", step: 1, min: 0, max: 0, "aria-label": "epoch",
    input: () => at(slider.valueAsNumber) });
  const play = el("button", { type: "button", id: "play", "aria-pressed": "false", click: () => run(!playing) },
    "▶ play");
  parts = { which, slider, play, number: el("output", { for: "epoch" }), grid: el("div.grid.pictures") };
  panel.append(el("div.bar", {}, el("label", {}, "pictures ", which), play, slider, parts.number), parts.grid);
  refresh();
}

export function close() {
  run(false);
}

function run(on) {
  clearInterval(playing);
  playing = on ? setInterval(step, MS) : 0;
  parts.play.textContent = on ? "⏸ stop" : "▶ play";
  parts.play.setAttribute("aria-pressed", String(on));
  if (on && parts.slider.valueAsNumber >= Number(parts.slider.max)) at(Number(parts.slider.min));
}

function step() {
  const next = epochs().find((epoch) => epoch > parts.slider.valueAsNumber);
  next === undefined ? run(false) : at(next);
}

function at(epoch) {
  shown.epoch = epoch >= Number(parts.slider.max) ? null : epoch;
  writeAddress();
  draw();
}

// A run's pictures of a kind, by epoch.
function filesOf(name, kind) {
  const files = new Map(logOf(name)?.files[kind] ?? []);
  if (kind === "samples") {
    for (const [epoch, file] of Object.entries(details.get(name)?.grids ?? {})) files.set(Number(epoch), file);
  }
  return files;
}

function kinds() {
  const found = new Set();
  for (const name of ticked()) {
    Object.keys(logOf(name)?.files ?? {}).forEach((kind) => found.add(kind));
    if (Object.keys(details.get(name)?.grids ?? {}).length) found.add("samples");
  }
  return [...found].sort((a, b) => (b === "samples") - (a === "samples") || a.localeCompare(b));
}

function epochs() {
  const all = ticked().flatMap((name) => [...filesOf(name, shown.picture || parts.kind).keys()]);
  return [...new Set(all)].sort((a, b) => a - b);
}

export async function refresh() {
  await Promise.all(ticked().map(async (name) => {
    const stamp = runs.get(name).stamp;
    if (details.get(name)?.stamp === stamp) return;
    details.set(name, { stamp, ...(await get(path(name)).catch(() => ({}))) });
  }));
  const all = kinds();
  parts.kind = all.includes(shown.picture) ? shown.picture : (all[0] ?? "");
  parts.which.replaceChildren(...all.map((kind) =>
    el("option", { value: kind, selected: kind === parts.kind }, kind)));
  const there = epochs();
  parts.slider.min = there[0] ?? 0;
  parts.slider.max = there.at(-1) ?? 0;
  parts.slider.disabled = parts.play.disabled = there.length < 2;
  cards = new Map(ticked().map((name) => [name, cards.get(name) ?? card(name)]));
  const real = [...realOnes()];
  parts.grid.replaceChildren(...[...cards.values()].map((one) => one.box), ...real);
  if (!cards.size) parts.grid.replaceChildren(el("p.quiet", {}, "Tick runs in the table to see their pictures."));
  for (const [name, one] of cards) one.kept.replaceChildren(...keptOf(name));
  draw();
}

function card(name) {
  const shownNow = picture("", "");
  const words = el("span.quiet"), kept = el("div");
  const title = el("strong", {}, brief(name));
  const box = el("figure.card.run", { title: name }, el("figcaption", {},
    el("span.dot", { "aria-hidden": "true" }), title, " ", words), shownNow, kept);
  return { box, shownNow, words, kept };
}

function draw() {
  const top = Number(parts.slider.max);
  const epoch = Math.min(top, shown.epoch ?? top);
  parts.slider.value = epoch;
  parts.number.textContent = top ? `epoch ${epoch} of ${top}` : "";
  for (const [name, one] of cards) {
    one.box.style.setProperty("--run", colourOf(name));
    const files = filesOf(name, parts.kind);
    const nearest = Math.max(...[...files.keys()].filter((key) => key <= epoch));
    const has = Number.isFinite(nearest);
    one.shownNow.hidden = !has;
    one.words.textContent = has ? (nearest === epoch ? `epoch ${nearest}` : `epoch ${nearest}, its last until then`)
      : files.size ? "none so early" : `no ${parts.kind || "pictures"} kept`;
    if (has) {
      one.shownNow.show(fileOf(name, files.get(nearest)), `${parts.kind} of ${name}, epoch ${nearest}`);
      ahead(name, files, nearest);
    }
  }
}

const fileOf = (name, file) =>
  `${path(name)}/files/${file.split("/").map(encodeURIComponent).join("/")}?of=${runs.get(name)?.generation ?? ""}`;

// The next ones are fetched before they are shown.
function ahead(name, files, epoch) {
  const next = [...files.keys()].filter((key) => key > epoch).sort((a, b) => a - b).slice(0, 2);
  for (const key of next) new Image().src = fileOf(name, files.get(key));
}

// The real pictures, once for each data set of the ticked runs.
function* realOnes() {
  const seen = new Set();
  for (const name of ticked()) {
    const { data_hash: data, config, stamp } = runs.get(name);
    if (seen.has(data) || !details.get(name)?.kept?.originals) continue;
    seen.add(data);
    yield el("figure.card.real", {}, el("figcaption", {}, el("strong", {}, "real"), " ",
      el("span.quiet", {}, `${config?.data ?? ""}, held out`)),
    picture(`${path(name)}/kept/originals.png?of=${stamp}`, `real pictures of ${config?.data ?? ""}`));
  }
  if (!seen.size && ticked().length) {
    yield el("p.quiet", {}, "The real pictures stand here once a run has ended that kept them.");
  }
}

function keptOf(name) {
  const kept = Object.keys(details.get(name)?.kept ?? {}).filter((array) => array !== "originals");
  if (!kept.length) return [];
  const open = cards.get(name).kept.querySelector("details")?.open;
  const inside = el("details", { open, toggle: (e) => fill(e.target) },
    el("summary", {}, "kept at the end"));
  const fill = (box) => {
    if (!box.open || box.children.length > 1) return;
    box.append(...kept.map((array) => el("figure", {}, el("figcaption", {}, KEPT[array] ?? array),
      picture(`${path(name)}/kept/${array}.png?of=${runs.get(name).stamp}`, `${array} of ${name}`))));
  };
  if (open) fill(inside);
  return [inside];
}

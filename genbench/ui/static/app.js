// The page: it polls, and shows what changed in the table and in the open panel.

import * as compare from "./compare.js";
import * as curves from "./curves.js";
import * as details from "./details.js";
import { $, el } from "./dom.js";
import * as latents from "./latents.js";
import * as samples from "./samples.js";
import * as search from "./search.js";
import { folder, onTheme, poll, readAddress, readLog, runs, shown, studies, ticked, tickSome, writeAddress } from "./state.js";
import * as table from "./table.js";

const PANELS = {
  curves: ["Curves", curves], samples: ["Samples", samples], latents: ["Latents", latents],
  compare: ["Compare", compare], search: ["Search", search], run: ["Run", details],
};
const LIVE = 1500, IDLE = 3000; // ms between two looks, while a run trains and otherwise
const PATIENCE = 1500; // ms after which the table is drawn though the server still reads
let opened = "";

function openPanel(name, focus = false) {
  shown.tab = PANELS[name] ? name : "curves";
  writeAddress();
  PANELS[opened]?.[1].close?.();
  opened = shown.tab;
  for (const tab of $("tabs").children) {
    const chosen = tab.dataset.tab === opened;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) tab.focus();
  }
  $("panel").setAttribute("aria-labelledby", `tab-${opened}`);
  $("panel").className = opened;
  $("panel").replaceChildren();
  PANELS[opened][1].open($("panel"));
}

function tabs() {
  const names = Object.keys(PANELS);
  const turn = (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    openPanel(names[(names.indexOf(opened) + move + names.length) % names.length], true);
  };
  $("tabs").replaceChildren(...names.map((name) => el("button.tab", { type: "button", role: "tab", id: `tab-${name}`,
    "data-tab": name, "aria-controls": "panel", click: () => openPanel(name), keydown: turn }, PANELS[name][0])));
}

// `again`: draw anew what is drawn; `must`: look for news though no log has grown.
async function refreshPanel(again = false, must = false) {
  const grown = await Promise.all(ticked().map((name) => readLog(name).catch(() => false)));
  const panel = PANELS[opened][1];
  if (again || must || grown.some(Boolean) || ["run", "latents", "compare"].includes(opened)) await panel.refresh(again);
}

function header(problem = "") {
  const training = [...runs.values()].filter((run) => run.status === "running").length;
  const words = problem || (training ? `${training} training` : "up to date");
  if ($("live").textContent !== words) $("live").textContent = words;
  $("live").className = problem ? "problem" : training ? "running" : "quiet";
  $("folder").textContent = folder.path;
  document.title = `${training ? `(${training}) ` : ""}genbench: ${folder.path}`;
}

const begun = performance.now();
let first = true, fresh = true, pending = false, heard = []; // names that changed and are not drawn

async function look() {
  let wait = IDLE;
  try {
    const { changed, names, more, studies: searched } = await poll();
    heard.push(...names);
    if ((changed || first || heard.length) && (!more || performance.now() - begun > PATIENCE)) {
      tickSome();
      table.draw(first ? null : heard);
      heard = [];
      first = false;
    }
    header();
    pending ||= changed || fresh;
    if (more) wait = 0; // the table is whole before anything is drawn below it
    else if (pending) {
      await refreshPanel(false, fresh);
      pending = fresh = false;
    }
    if (searched && opened === "search") await search.refresh();
    if (!more && [...runs.values()].some((run) => run.status === "running")) wait = LIVE;
  } catch (error) {
    if (!(error instanceof TypeError) && !/^\d+$/.test(error.message)) console.error(error);
    header("no answer from genbench ui; is it still running?");
  }
  setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", look, { once: true }) : look()), wait);
}

function openRun(name) {
  shown.run = name;
  openPanel("run");
  $("panel").scrollIntoView({ block: "nearest" });
}

readAddress();
tabs();
table.start(() => refreshPanel(true), openRun);
search.start(openRun);
openPanel(shown.tab);
look();
onTheme(() => {
  table.marks();
  refreshPanel(true);
});
addEventListener("hashchange", () => {
  readAddress();
  tickSome();
  table.draw();
  openPanel(shown.tab);
  refreshPanel(true);
});

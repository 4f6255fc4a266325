// Plotly in the page's own colours; it is fetched when the first chart is drawn.

import { el, short } from "./dom.js";
import { colour, isDark } from "./state.js";

const CONFIG = {
  displaylogo: false, responsive: true, showTips: false,
  // these alone: Plotly's own list has one that sends the chart to its makers' server
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]], plotlyServerURL: "",
};
let loading = null;

export function plotly() {
  loading = loading ?? new Promise((resolve, reject) => {
    const script = el("script", { src: "/plotly/plotly.min.js" });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("plotly.min.js was not served")));
    document.head.append(script);
  });
  return loading;
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Text that Plotly shows as it is: it reads tags and entities.
export const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export const quiet = () => style("--quiet");

export function axis(title, more = {}) {
  return {
    title: { text: plain(title), font: { size: 12, color: style("--quiet") }, standoff: 6 },
    gridcolor: style("--line"), zeroline: false, linecolor: style("--line"),
    tickfont: { size: 11, color: style("--quiet") }, automargin: true, ...more,
  };
}

export async function plot(element, traces, layout, height = 260) {
  const Plotly = await plotly();
  if (!element.isConnected) return;
  await Plotly.react(element, traces, {
    height, margin: { l: 48, r: 12, t: 20, b: 36 }, showlegend: false, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: "kept",
    font: { family: style("--font"), color: style("--text") }, colorway: [colour(0)],
    hoverlabel: { namelength: -1, bgcolor: style("--panel"), bordercolor: style("--line"),
      font: { color: style("--text"), family: style("--font") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: style("--quiet"), activecolor: style("--text") },
    ...layout,
  }, CONFIG);
}

// A figure with its title as text of the page, for those who cannot see the drawing too.
export function figure(title, note = "") {
  const drawing = el("div.drawing");
  const words = el("span.quiet", {}, note);
  const box = el("figure.chart", { "aria-label": title },
    el("figcaption", {}, el("strong", {}, title), " ", words), drawing);
  return Object.assign(box, { drawing, words });
}

// Blue to yellow, by how good a value is: told apart by the colour-blind, and in grey.
const SCALE = [[0.267, 0.005, 0.329], [0.23, 0.32, 0.545], [0.128, 0.567, 0.551],
  [0.369, 0.789, 0.383], [0.993, 0.906, 0.144]];

export function shade(share) {
  const low = isDark() ? 0.15 : 0, high = isDark() ? 1 : 0.85; // none is lost on its ground
  const at = (low + (high - low) * Math.min(1, Math.max(0, share))) * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(at));
  const mixed = SCALE[i].map((c, k) => Math.round(255 * (c + (SCALE[i + 1][k] - c) * (at - i))));
  return `rgb(${mixed.join(",")})`;
}

export const hover = (pairs) => pairs.map(([k, v]) => `${plain(k)}: ${plain(short(v))}`).join("<br>");

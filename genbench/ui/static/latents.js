// The codes of the ticked runs on a plane, coloured by label, with the picture of each.

import { brief, el, get, path } from "./dom.js";
import { axis, figure, plain, plot, quiet } from "./plots.js";
import { isDark, runs, shown, ticked } from "./state.js";

// Tol's muted and bright colours: ten that stay apart; the label at the middle says which is which
const LIGHT = ["#332288", "#cc6677", "#117733", "#ddaa33", "#4499cc", "#882255", "#44aa99", "#777733", "#aa4499", "#555555"];
const DARK = ["#9d8cff", "#ff8fa0", "#4fc27a", "#f0d060", "#88ccee", "#e06a9a", "#5fe0cc", "#c8c86a", "#e08ad8", "#bbbbbb"];
const SHOWN = 3; // pixels on the page for one of a thumbnail
const known = new Map(); // by name: {stamp, codes}
let grid = null, boxes = new Map();

export function open(panel) {
  grid = el("div.grid.wide");
  boxes = new Map();
  panel.append(grid);
  refresh();
}

export async function refresh(again = false) {
  const names = ticked();
  await Promise.all(names.map(async (name) => {
    const { stamp } = runs.get(name);
    if (known.get(name)?.stamp === stamp) return;
    known.set(name, { stamp, codes: await get(`${path(name)}/codes`).catch(() => ({ n: 0 })) });
    boxes.delete(name);
  }));
  if (again) boxes.clear();
  const having = names.filter((name) => known.get(name)?.codes.n);
  const fresh = having.filter((name) => !boxes.has(name));
  boxes = new Map(having.map((name) => [name, boxes.get(name) ?? figure(brief(name))]));
  const lacking = names.filter((name) => !having.includes(name));
  const note = !names.length ? "Tick runs in the table to see their codes."
    : lacking.length ? `Without codes (they are kept at the end, by models that encode): ${lacking.map(brief).join(", ")}` : "";
  if (fresh.length || grid.children.length !== boxes.size + (note ? 1 : 0)) {
    grid.replaceChildren(...boxes.values(), ...(note ? [el("p.quiet", {}, note)] : []));
  }
  for (const name of fresh) draw(name);
}

function draw(name) {
  const { codes, stamp } = known.get(name), box = boxes.get(name);
  const palette = isDark() ? DARK : LIGHT;
  const title = (label) => codes.classes[label] ?? String(label);
  const labels = codes.labels.length ? codes.labels : codes.x.map(() => 0);
  const kinds = [...new Set(labels)].sort((a, b) => a - b);
  const few = kinds.length > 1 && kinds.length <= 40;
  const traces = (few ? kinds : [null]).map((kind, k) => {
    const of = labels.map((label, i) => i).filter((i) => kind === null || labels[i] === kind);
    return {
      x: of.map((i) => codes.x[i]), y: of.map((i) => codes.y[i]), customdata: of, mode: "markers",
      type: "scatter", name: kind === null ? "codes" : plain(title(kind)),
      marker: { size: 5, opacity: 0.65, color: palette[k % palette.length] },
      hovertemplate: codes.pictures ? "%{fullData.name}<extra></extra>" : "%{fullData.name}<extra>label</extra>",
    };
  });
  const middles = (few ? traces : []).map((trace) => ({
    x: median(trace.x), y: median(trace.y), text: `<b>${trace.name}</b>`, showarrow: false,
    font: { size: 15, color: trace.marker.color }, bgcolor: isDark() ? "rgba(20,22,26,.75)" : "rgba(255,255,255,.78)",
    borderpad: 2,
  }));
  const share = codes.dimensions > 2 ? `${Math.round(100 * codes.variance)} % of the variance of ${codes.dimensions} dimensions` : `${codes.dimensions} dimensions`;
  box.words.textContent = `${codes.n} ${codes.split} codes · ${share}` +
    (codes.pictures ? "" : " · this record has no pictures of its codes");
  plot(box.drawing, traces, {
    xaxis: axis(codes.axes[0]), yaxis: axis(codes.axes[1], { scaleanchor: "x" }), annotations: middles,
  }, 420).then(() => codes.pictures && pictures(box, name, codes, stamp));
}

// The picture of the code under the pointer: a part of one picture of all.
function pictures(box, name, codes, stamp) {
  if (!box.drawing.on) return;
  const { columns, width, height } = codes.pictures, rows = Math.ceil(codes.n / columns);
  const scale = Math.max(1, Math.round((SHOWN * 28) / width));
  const view = el("div.thumb", { hidden: true, role: "img" });
  const size = (w, h) => `${w * scale}px ${h * scale}px`;
  Object.assign(view.style, { width: `${width * scale}px`, height: `${height * scale}px`,
    backgroundImage: `url("${path(name)}/kept/codes.png?of=${stamp}")`,
    backgroundSize: size(columns * (width + 2), rows * (height + 2)) });
  box.append(view);
  box.drawing.on("plotly_hover", (event) => {
    const point = event.points[0], k = point.customdata;
    view.style.backgroundPosition =
      `-${((k % columns) * (width + 2) + 1) * scale}px -${(Math.floor(k / columns) * (height + 2) + 1) * scale}px`;
    view.setAttribute("aria-label", `picture of a code, label ${codes.labels[k] ?? "none"}`);
    const frame = box.getBoundingClientRect();
    const left = event.event.clientX - frame.left + 16;
    view.style.left = `${Math.min(left, frame.width - width * scale - 8)}px`;
    view.style.top = `${event.event.clientY - frame.top + 16}px`;
    view.hidden = false;
  });
  box.drawing.on("plotly_unhover", () => { view.hidden = true; });
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

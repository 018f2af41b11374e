// Stacked bars over time, drawn by uPlot. Intervals stand at even places by their number, because hours and days differ
// in length where clocks change.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { colour } from "./theme.js";
import * as f from "./format.js";

const height = 260;

// ticks chooses which intervals are named below the bars.
function ticks(starts, interval, width) {
  const room = Math.max(2, Math.floor(width / 76));
  const each = (step) => starts.map((_, i) => i).filter((i) => i % step === 0);
  if (interval === "day") return each(Math.ceil(starts.length / room));
  const hours = starts.map((start) => new Date(start).getHours());
  for (const step of [1, 2, 3, 6, 12, 24]) {
    const found = hours.map((hour, i) => i).filter((i) => i > 0 && hours[i] % step === 0);
    if (found.length <= room) return found;
  }
  return each(Math.ceil(starts.length / room));
}

const label = (start, interval) => {
  const at = new Date(start);
  return interval === "day" || at.getHours() === 0
    ? at.toLocaleDateString(undefined, { day: "numeric", month: "short" })
    : at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
};

// draw shows an answer and gives {destroy, move}. onPoint is told the number of the interval under the pointer, or null.
export function draw(parent, answer, measure, colours, onPoint) {
  const { starts, series, interval } = answer;
  const money = measure === "cost_micro_usd";
  const xs = starts.map((_, i) => i);
  // The bars lie over one another: the sum of all first, the first spender last.
  const sums = [];
  series.forEach((one, k) => sums.push(one[measure].map((value, i) => value + (k ? sums[k - 1][i] : 0))));
  const faint = colour("--faint"), line = colour("--line");
  const axis = { stroke: faint, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px ui-sans-serif, system-ui, sans-serif" };
  const options = {
    width: parent.clientWidth, height, legend: { show: false }, padding: [12, 8, 0, 0],
    scales: { x: { time: false, range: () => [-0.5, xs.length - 0.5] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] } },
    axes: [
      { ...axis, size: 32, grid: { show: false }, splits: (u) => ticks(starts, interval, u.width), values: (_, at) => at.map((i) => (starts[i] ? label(starts[i], interval) : "")) },
      { ...axis, size: 58, values: (_, at) => at.map((v) => (money ? f.money(v) : f.short(v))) },
    ],
    series: [{}, ...sums.map((_, k) => ({ fill: colours[k], width: 0, paths: uPlot.paths.bars({ size: [0.82, 72] }), points: { show: false } })).reverse()],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false, setScale: false } },
    hooks: { setCursor: [(u) => onPoint(u.cursor.idx ?? null)] },
  };
  const plot = new uPlot(options, [xs, ...sums.slice().reverse()], parent);
  const sizes = new ResizeObserver(() => { if (parent.clientWidth && parent.clientWidth !== plot.width) plot.setSize({ width: parent.clientWidth, height }); });
  sizes.observe(parent);
  return {
    destroy() { sizes.disconnect(); plot.destroy(); },
    // move puts the pointer on an interval, for the keyboard.
    move(index) { plot.setCursor({ left: plot.valToPos(index, "x"), top: 0 }); },
  };
}

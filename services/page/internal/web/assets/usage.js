// Usage and cost over time, by whom.

import { h, byId, text, keyed, table, cell, bar, fillBar } from "./dom.js";
import { draw } from "./chart.js";
import { colour } from "./theme.js";
import * as f from "./format.js";

const refresh = 15000;
const seriesName = (series) => (series.rest ? "everything else" : series.name || "not named");
const intervalText = (answer, i) => (answer.interval === "day" ? f.dayOf(answer.starts[i]) : `${f.dayOf(answer.starts[i])}, ${f.hourOf(answer.starts[i])} to ${f.hourOf(answer.starts[i + 1] ?? answer.to)}`);

export function usage() {
  const form = byId("usage-form"), chartBox = byId("chart"), note = byId("usage-note"), readout = byId("readout");
  const legend = byId("series"), tableBox = byId("usage-table").querySelector(".scroll");
  const names = table([{ label: "Name" }, { label: "Share", class: "use" }, { label: "Tokens", right: true }, { label: "Cost", right: true }, { label: "Requests", right: true }], { caption: "Who spent how much" });
  names.element.hidden = true; // until there is an answer
  byId("breakdown").append(names.element);
  let answer, plot, point = null, asked = 0;

  const choice = (field) => form.elements[field].value;
  const figure = (n) => (choice("measure") === "tokens" ? f.short(n) : f.money(n));
  const colours = () => answer.series.map((series, k) => colour(series.rest ? "--series-rest" : `--series-${k + 1}`));

  function tell(index) {
    point = index;
    if (index === null || !answer?.starts[index]) {
      text(readout, answer ? `In all ${f.short(answer.totals.total_tokens)} tokens for ${f.money(answer.totals.cost_micro_usd)} by ${f.plural(answer.totals.requests, "request")}; ${f.count(answer.decisions.granted)} granted, ${f.count(answer.decisions.denied)} refused${answer.decisions.queue_ended ? `, ${f.count(answer.decisions.queue_ended)} waited in vain` : ""}.` : "");
      return;
    }
    const measure = choice("measure"), parts = answer.series.map((s) => [seriesName(s), s[measure][index]]).filter(([, n]) => n > 0);
    const sum = parts.reduce((all, [, n]) => all + n, 0);
    text(readout, `${intervalText(answer, index)}: ${sum ? `${figure(sum)} – ${parts.map(([who, n]) => `${who} ${figure(n)}`).join(", ")}` : "nothing"}`);
  }

  function drawChart() {
    plot?.destroy();
    plot = undefined;
    chartBox.hidden = !answer || answer.series.length === 0;
    if (chartBox.hidden) return;
    plot = draw(chartBox, answer, choice("measure"), colours(), tell);
  }

  function show() {
    if (!answer) return;
    const measure = choice("measure"), empty = answer.series.length === 0;
    byId("usage-table").hidden = empty;
    text(note, empty ? "Nothing was used in this time." : "");
    note.hidden = !empty;
    drawChart();
    tell(null);
    const shades = colours();
    keyed(legend, answer.series.map((series, k) => ({ series, shade: shades[k] })), ({ series }) => seriesName(series),
      () => { const li = h("li"); li.swatch = h("i", { class: "swatch" }); li.label = h("bdi"); li.append(li.swatch, li.label); return li; },
      (li, { series, shade }) => { li.swatch.style.setProperty("--colour", shade); text(li.label, seriesName(series)); });
    const key = measure === "tokens" ? "tokens_percent" : "cost_percent";
    const order = answer.slices.slice().sort((a, b) => b[key] - a[key]);
    names.element.hidden = order.length === 0;
    keyed(names.body, order, (s) => s.name, () => {
      const row = names.row();
      row.label = h("bdi", { class: "name" });
      row.cells[0].append(row.label);
      row.share = h("span", { class: "num" });
      row.bar = bar();
      row.cells[1].append(row.share, row.bar);
      return row;
    }, (row, s) => {
      text(row.label, s.name || "not named");
      text(row.share, f.percent(s[key]));
      fillBar(row.bar, [{ kind: "used", share: s[key] }]);
      cell(row.cells[2], f.short(s.total_tokens), f.count(s.total_tokens));
      cell(row.cells[3], f.money(s.cost_micro_usd), s.unpriced_tokens ? `${f.short(s.unpriced_tokens)} tokens have no price` : "");
      cell(row.cells[4], f.count(s.requests));
    });
    showTable();
  }

  // showTable writes every interval out, for those who do not see the chart; only while it is open.
  function showTable() {
    if (!byId("usage-table").open || !answer) return;
    const measure = choice("measure");
    const grid = table([{ label: "Interval" }, ...answer.series.map((s) => ({ label: seriesName(s), right: true }))], { caption: `Usage in ${measure === "tokens" ? "tokens" : "dollars"}` });
    for (let i = answer.starts.length - 1; i >= 0; i--) {
      if (!answer.series.some((s) => s[measure][i] > 0)) continue;
      const row = grid.row();
      row.cells[0].textContent = intervalText(answer, i);
      answer.series.forEach((s, k) => cell(row.cells[k + 1], s[measure][i] ? figure(s[measure][i]) : ""));
      grid.body.append(row);
    }
    tableBox.replaceChildren(grid.element);
  }

  async function ask() {
    const mine = ++asked;
    const query = new URLSearchParams({ timeframe: choice("timeframe"), by: choice("by"), zone: f.zone });
    try {
      const response = await fetch("/api/usage?" + query, { headers: { Accept: "application/json" } });
      const body = await response.json();
      if (mine !== asked) return; // something else was chosen meanwhile
      if (!response.ok) throw new Error(body.error?.message ?? "no answer");
      answer = body;
      byId("usage-card").dataset.ready = `${choice("by")} ${choice("timeframe")}`;
      show();
    } catch (error) {
      if (mine !== asked) return;
      note.hidden = false;
      text(note, `Usage cannot be read now: ${error.message}`);
    }
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => (event.target.name === "measure" ? show() : ask()));
  byId("usage-table").addEventListener("toggle", showTable);
  chartBox.addEventListener("keydown", (event) => {
    const last = (answer?.starts.length ?? 0) - 1, at = point ?? last + 1;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined || !plot) return;
    event.preventDefault();
    plot.move(Math.max(0, Math.min(last, next)));
  });
  setInterval(() => { if (!document.hidden && point === null) ask(); }, refresh);
  ask();
  return { ask, redraw: show };
}

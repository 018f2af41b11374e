// The windows of every account, and what needs attention first.

import { h, byId, text, path, mark, keyed, table, cell, bar, fillBar, name } from "./dom.js";
import * as f from "./format.js";

// idle: a limit per minute that is full, or a model's window that nobody uses. There are dozens of them.
const idle = (limit) => !limit.used && !limit.held && !limit.outside && !limit.observed && !limit.closed_until &&
  (limit.window === "bucket" || Boolean(limit.model_group));

export function shortName(limit) {
  if (!limit.account || !limit.name) return limit.limit_id;
  const short = limit.name.replaceAll("_per_minute", "/min").replaceAll("_", " ");
  return limit.model_group && !short.endsWith(limit.model_group) ? `${short} ${limit.model_group}` : short;
}

const scope = (limit) => [limit.team && `team ${limit.team}`, limit.agent && `agent ${limit.agent}`].filter(Boolean).join(", ");

const levelWords = { exhausted: "exhausted", closed: "closed by the provider", low: "low" };
const levelTone = { exhausted: "bad", closed: "bad", low: "caution" };

function resetText(limit) {
  if (limit.window === "bucket") return "refills all the time";
  if (limit.window === "concurrent") return "free as work ends";
  const at = limit.resets_at;
  if (!at) return "opens at first use";
  const left = f.ms(at) - f.now();
  return left <= 0 ? "resets now" : `in ${f.span(left)}`;
}

// over: nothing is to be had, so nothing can run out.
const over = (outlook) => outlook?.level === "exhausted" || outlook?.level === "closed";

// closedUntil is until when the provider refuses an account or a window; empty where it does not.
const closedUntil = (of) => (of?.closed_until && f.ms(of.closed_until) > f.now() ? of.closed_until : "");

// forecastText says what is to come until the reset: what the ledger expects outside, and where the pace leads unless
// nothing is left already.
function forecastText(limit, outlook, likely, refused) {
  const parts = [];
  if (limit.resets_at && f.ms(limit.resets_at) > f.now()) parts.push(f.when(limit.resets_at));
  if (closedUntil(limit)) parts.push(`closed until ${f.when(limit.closed_until)}`);
  const nothing = refused || over(outlook);
  const pace = outlook?.pace;
  if (pace && !nothing) {
    parts.push(pace.exhausted_at ? `empty ${f.when(pace.exhausted_at)} at this pace` : `${f.percent(pace.at_reset_percent)} by then at this pace`);
  }
  const chance = likely?.exhaustion?.chance_percent;
  if (chance >= 1 && !nothing) parts.push(`${f.percent(chance)} likely to run out before${likely.exhaustion.likely_at ? `, about ${f.when(likely.exhaustion.likely_at)}` : ""}`);
  if (limit.forecast) parts.push(`${f.amount(limit.forecast, limit.unit)} expected outside`);
  return parts.join(" · ");
}

// likely has the forecasts of analytics by limit id: they rest on weeks of history, and come beside the state.
let likely = new Map();

function rangeText(forecast) {
  const out = forecast?.exhaustion;
  if (!out || !(out.chance_percent >= 1)) return "";
  return `with four chances in five ${out.early_at ? `not before ${f.when(out.early_at)}` : "not before the reset"}${out.late_at ? ` and by ${f.when(out.late_at)}` : ""}`;
}

// askForecast brings the forecasts up to date; without an answer those that are known stay.
export async function askForecast() {
  try {
    const response = await fetch("/api/forecast?" + new URLSearchParams({ zone: f.zone }));
    if (!response.ok) return;
    likely = new Map((await response.json()).limits.map((limit) => [limit.limit_id, limit]));
  } catch { /* the connection is told of elsewhere */ }
}

const columns = [
  { label: "Limit", class: "c-name" }, { label: "Use", class: "c-use use" }, { label: "Used", class: "c-small", right: true },
  { label: "Held", class: "c-small", right: true }, { label: "Held back", class: "c-small", right: true }, { label: "Drift", class: "c-small", right: true },
  { label: "Left", class: "c-small", right: true }, { label: "Reset and forecast", class: "c-reset whole" },
];

function makeRow(grid) {
  const row = grid.row();
  const [head, use] = row.cells;
  row.label = h("span", { class: "name" });
  row.level = h("span", { class: "badge", hidden: true });
  row.scope = h("span", { class: "sub" });
  head.append(row.label, " ", row.level, row.scope);
  row.percent = h("span", { class: "percent" });
  row.of = h("span", { class: "faint num" });
  row.bar = bar();
  use.append(row.percent, " ", row.of, row.bar);
  row.reset = h("span");
  row.forecast = h("span", { class: "sub" });
  row.cells[7].append(row.reset, row.forecast);
  return row;
}

// fillRow shows a limit. Until refused, the provider refuses the whole account: what is left by the books is not to be had.
function fillRow(row, limit, outlook, refused) {
  const { unit } = limit, level = outlook?.level;
  mark(row, "data-level", level);
  mark(row, "data-limit", limit.limit_id);
  path(row.label, shortName(limit));
  mark(row.label, "title", limit.limit_id);
  text(row.level, levelWords[level] ?? "");
  row.level.hidden = !level;
  mark(row.level, "data-tone", levelTone[level]);
  text(row.scope, scope(limit));
  const known = limit.capacity > 0;
  text(row.percent, f.percent(limit.used_percent) || "–");
  text(row.of, known ? `of ${f.amount(limit.capacity, unit)}${unit === "micro_usd" || unit === "tokens" ? "" : " " + f.units(unit)}` : "of an unknown size");
  mark(row.of, "title", known ? f.exact(limit.capacity, unit) : "");
  const share = (n) => (known ? (100 * (n ?? 0)) / limit.capacity : 0);
  fillBar(row.bar, known
    ? [{ kind: "used", share: share(limit.used) }, { kind: "drift", share: share(limit.outside) }, { kind: "held", share: share(limit.held) },
      { kind: "back", share: share(limit.held_back) }, { kind: "kept", share: share(limit.forecast_kept) }]
    : [{ kind: "used", share: limit.used_percent ?? 0 }]);
  const [, , used, held, back, drift, left] = row.cells;
  const figure = (td, n) => cell(td, n ? f.amount(n, unit) : "", n ? f.exact(n, unit) : "");
  figure(used, limit.used);
  figure(held, limit.held);
  figure(back, limit.held_back);
  const until = limit.held_until ? ` until ${f.inFull(limit.held_until)}` : "";
  mark(back, "title", limit.held_back ? `${f.exact(limit.held_back, unit)}, for work of priority ${limit.held_for} and above${until}` : "");
  figure(drift, limit.outside);
  const books = known ? f.exact(limit.available, unit) : "";
  if (refused || closedUntil(limit)) cell(left, "closed", books && `${books} by the books, and the provider refuses`);
  else cell(left, known ? f.amount(limit.available, unit) : "", books);
  text(row.reset, resetText(limit));
  mark(row.reset, "title", limit.resets_at ? f.inFull(limit.resets_at) : "");
  text(row.forecast, forecastText(limit, outlook, likely.get(limit.limit_id), refused));
  mark(row.forecast, "title", refused || over(outlook) ? "" : rangeText(likely.get(limit.limit_id)));
}

// makeCard makes the card of an account, or of the limits of teams and the workspace.
function makeCard(group) {
  const title = h("h3", {}, name(group.title));
  title.id = "account-" + group.key;
  const card = h("article", { class: "card", "aria-labelledby": title.id });
  card.chips = h("span", { class: "faint" });
  card.state = h("span", { class: "badge", hidden: true });
  card.busy = table(columns, { caption: `Limits of ${group.title}`, className: "limits" });
  card.rest = h("details");
  card.summary = h("summary");
  card.restTable = table(columns, { caption: `Untouched limits of ${group.title}`, className: "limits" });
  card.rest.append(card.summary, card.restTable.element);
  card.append(h("div", { class: "account-head" }, title, card.chips, card.state), card.busy.element, card.rest);
  return card;
}

function fillCard(card, group, outlooks) {
  text(card.chips, group.note);
  text(card.state, group.state);
  card.state.hidden = !group.state;
  mark(card.state, "data-tone", "bad");
  const touched = group.limits.filter((limit) => !idle(limit)), rest = group.limits.filter(idle);
  const show = (grid, limits) => keyed(grid.body, limits, (limit) => limit.limit_id, () => makeRow(grid), (row, limit) => fillRow(row, limit, outlooks[limit.limit_id], group.refused));
  show(card.busy, touched);
  show(card.restTable, rest);
  card.busy.element.hidden = touched.length === 0;
  card.rest.hidden = rest.length === 0;
  text(card.summary, `${f.plural(rest.length, "limit")} untouched`);
}

function groups(state) {
  const list = (state.accounts ?? []).map((account, index) => ({
    account: account.account, refused: closedUntil(account), key: "a" + index + account.account, title: account.account, limits: account.limits ?? [],
    note: [account.provider, account.kind, account.tier, account.teams && "for " + account.teams.join(", ")].filter(Boolean).join(" · "),
    state: closedUntil(account) && `the provider refuses until ${f.when(account.closed_until)}`,
  }));
  if (state.limits?.length) list.push({ key: "w", title: "Teams, agents and workspace", note: "", state: "", limits: state.limits });
  return list;
}

// alerts are what needs attention: accounts that are refused, limits that are used up or closed, and what an operator holds back.
function alerts(state) {
  const found = [];
  for (const group of groups(state)) {
    if (group.refused) {
      found.push({ id: `account ${group.account}`, tone: "bad", head: `${group.account} is refused by the provider`, text: `until ${f.when(group.refused)}, whatever is left of its windows` });
    }
    for (const limit of group.limits) {
      const outlook = state.outlooks?.[limit.limit_id];
      if (outlook?.level === "exhausted") {
        found.push({ id: limit.limit_id, tone: "bad", head: `${limit.limit_id} is exhausted`, text: `${f.percent(limit.used_percent)} used; ${limit.resets_at ? `resets ${resetText(limit)}, ${f.when(limit.resets_at)}` : resetText(limit)}` });
      } else if (outlook?.level === "closed") {
        found.push({ id: limit.limit_id, tone: "bad", head: `${limit.limit_id} is closed by the provider`, text: `until ${f.when(limit.closed_until)}` });
      } else if (outlook?.pace?.exhausted_at && !group.refused) {
        found.push({ id: limit.limit_id, tone: "caution", head: `${limit.limit_id} runs out ${f.when(outlook.pace.exhausted_at)} at this pace`, text: `${f.span(f.ms(limit.resets_at) - f.ms(outlook.pace.exhausted_at))} before its reset` });
      }
    }
  }
  for (const block of state.blocks ?? []) {
    found.push({ id: `block ${block.target} ${block.name ?? ""}`, tone: "caution", head: `New grants are stopped for ${[block.target, block.name].filter(Boolean).join(" ")}`, text: [block.by && `by ${block.by}`, block.reason].filter(Boolean).join(": ") });
  }
  return found;
}

export function showWindows(state) {
  keyed(byId("accounts"), groups(state), (group) => group.key, makeCard, (card, group) => fillCard(card, group, state.outlooks ?? {}));
  const found = alerts(state);
  keyed(byId("alerts"), found, (alert) => alert.id, () => {
    const row = h("p", { class: "alert" });
    row.head = h("strong", { class: "name" });
    row.text = h("span", { class: "name" });
    row.append(row.head, " ", row.text);
    return row;
  }, (row, alert) => {
    mark(row, "data-tone", alert.tone);
    text(row.head, alert.head);
    text(row.text, alert.text);
  });
  return found;
}

// What is being worked on and what waits.

import { h, byId, text, mark, keyed, table, cell, bar, fillBar, name } from "./dom.js";
import * as f from "./format.js";
import { waitsFor } from "./words.js";

const reservationColumns = [
  { label: "Agent" }, { label: "Account and model" }, { label: "Granted", right: true }, { label: "Used", class: "use" },
  { label: "Cost", right: true }, { label: "Ends in", right: true },
];
const queueColumns = [
  { label: "Agent" }, { label: "Waits for", class: "whole" }, { label: "Place", right: true }, { label: "Wants", right: true },
  { label: "Since", right: true }, { label: "Expected", right: true },
];

// part makes a card with a heading, a note for when it is empty, and a table.
function part(parent, title, columns, emptyText) {
  const heading = h("h3", { text: title });
  const empty = h("p", { class: "faint", text: "Waiting for the broker…" });
  const grid = table(columns, { caption: title });
  grid.element.hidden = true;
  const more = h("p", { class: "faint" });
  parent.append(heading, empty, grid.element, more);
  return { heading, empty, emptyText, grid, more, title };
}

function show(part, items, total, key, make, fill) {
  text(part.heading, total ? `${part.title} (${f.count(total)})` : part.title);
  text(part.empty, part.emptyText);
  part.empty.hidden = total > 0;
  part.grid.element.hidden = total === 0;
  part.more.hidden = total <= items.length;
  text(part.more, `and ${f.count(total - items.length)} more`);
  keyed(part.grid.body, items, key, () => make(part.grid), fill);
}

function makeReservation(grid) {
  const row = grid.row(), [who, what, , used] = row.cells;
  row.agent = name("");
  row.badge = h("span", { class: "badge", hidden: true });
  row.team = h("span", { class: "sub name" });
  who.append(row.agent, " ", row.badge, row.team);
  row.account = name("");
  row.model = h("span", { class: "sub name" });
  what.append(row.account, row.model);
  row.percent = h("span", { class: "num" });
  row.bar = bar();
  used.append(row.percent, h("span", { class: "mini" }, row.bar));
  return row;
}

function fillReservation(row, r) {
  const granted = f.tokens(r.granted?.tokens), used = f.tokens(r.used?.tokens);
  mark(row, "data-reservation", r.reservation_id);
  text(row.agent, r.agent);
  const badge = r.unclaimed ? "not claimed yet" : r.preemptible ? "preemptible" : r.priority === "high" || r.priority === "critical" ? r.priority : "";
  text(row.badge, badge);
  row.badge.hidden = !badge;
  text(row.team, [r.team, f.words(r.task_type)].filter(Boolean).join(" · "));
  text(row.account, r.account ?? r.provider ?? "");
  text(row.model, r.model ?? "");
  cell(row.cells[2], f.short(granted), `${f.count(granted)} tokens`);
  const share = granted ? (100 * used) / granted : 0;
  text(row.percent, (granted ? f.percent(share) || "0%" : "–") + " ");
  fillBar(row.bar, [{ kind: share > 100 ? "drift" : "used", share }]);
  cell(row.cells[4], r.unpriced ? "no price" : r.cost_used_micro_usd ? f.money(r.cost_used_micro_usd) : "");
  cell(row.cells[5], r.expires_at ? f.span(f.ms(r.expires_at) - f.now()) : "", r.expires_at ? f.inFull(r.expires_at) : "");
}

function makeWaiting(grid) {
  const row = grid.row(), [who, what] = row.cells;
  row.agent = name("");
  row.badge = h("span", { class: "badge", hidden: true });
  row.team = h("span", { class: "sub name" });
  who.append(row.agent, " ", row.badge, row.team);
  row.waits = h("span", { class: "name" });
  row.model = h("span", { class: "sub name" });
  what.append(row.waits, row.model);
  return row;
}

function fillWaiting(row, w) {
  text(row.agent, w.agent);
  text(row.badge, w.priority ?? "");
  row.badge.hidden = !w.priority || w.priority === "normal";
  text(row.team, [w.team, f.words(w.task_type)].filter(Boolean).join(" · "));
  text(row.waits, waitsFor(w.waits_for));
  text(row.model, [w.model, w.account ?? w.provider].filter(Boolean).join(" on "));
  const { queue } = w;
  cell(row.cells[2], f.count(queue.position));
  cell(row.cells[3], f.short(f.tokens(w.wanted?.tokens)));
  cell(row.cells[4], queue.queued_at ? f.span(f.now() - f.ms(queue.queued_at)) : "");
  cell(row.cells[5], f.expected(queue), queue.wait_until ? `waits until ${f.inFull(queue.wait_until)}` : "");
}

export function work() {
  const open = part(byId("reservations"), "Open reservations", reservationColumns, "No agent holds anything now.");
  const queue = part(byId("queue"), "Queue", queueColumns, "Nothing waits.");
  return (state) => {
    const live = Math.max(state.totals?.live ?? 0, state.reservations.length);
    show(open, state.reservations, state.more_reservations ? live : state.reservations.length, (r) => r.reservation_id, makeReservation, fillReservation);
    show(queue, state.queue, state.queued, (w) => w.reservation_id, makeWaiting, fillWaiting);
  };
}

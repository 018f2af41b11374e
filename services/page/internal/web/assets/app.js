// The page: what the server tells goes to the parts that show it.

import { byId, h, keyed, text, mark } from "./dom.js";
import * as f from "./format.js";
import { connect } from "./stream.js";
import { theme } from "./theme.js";
import { askForecast, showWindows } from "./windows.js";
import { work } from "./work.js";
import { feed } from "./feed.js";
import { showAdvice } from "./advice.js";
import { usage } from "./usage.js";

const tick = 1000, forecastEvery = 30000;
const quiet = 4000; // between two announcements to those who listen

let state, build, connected = false, known; // known: the alerts that were shown before

const showWork = work();
const showEvents = feed();
const chart = usage();
theme(byId("theme"), () => chart.redraw());

// say tells those who listen what they would want to be interrupted for, and no more often than they can bear.
let spoken = 0, pending = "", timer;
function say(words) {
  pending = words;
  clearTimeout(timer);
  timer = setTimeout(() => { spoken = Date.now(); text(byId("announcer"), pending); }, Math.max(0, quiet - (Date.now() - spoken)));
}

function tiles(state) {
  const t = state.totals ?? {};
  return [
    { key: "live", label: "at work", value: f.count(t.live), note: `${f.plural(t.live_agents ?? 0, "agent")}, ${f.short(t.held_tokens)} tokens held` },
    { key: "queue", label: "waiting", value: f.count(state.queued), note: state.queued ? "in the queue" : "nothing in the queue" },
    { key: "tokens", label: "tokens used", value: f.short(t.used_tokens), note: `${f.short(t.unreserved_tokens ?? 0)} without a reservation` },
    { key: "cost", label: "cost", value: f.money(t.cost_micro_usd), note: t.unpriced_tokens ? `${f.short(t.unpriced_tokens)} tokens have no price` : "at list prices" },
    { key: "granted", label: "granted", value: f.count(t.granted), note: `${f.count(t.expired)} expired, ${f.count(t.overruns)} overran` },
    { key: "denied", label: "refused", value: f.count(t.denied), note: `${f.count(t.exhausted)} for lack of quota${t.queue_ended ? `; ${f.count(t.queue_ended)} waited in vain` : ""}` },
  ];
}

function showTiles(state) {
  keyed(byId("tiles"), tiles(state), (tile) => tile.key, (tile) => {
    const box = h("div", { class: "tile", "data-tile": tile.key }, h("dt", { text: tile.label }));
    box.value = h("span");
    box.note = h("span", { class: "note" });
    box.append(h("dd", {}, box.value, box.note));
    return box;
  }, (box, tile) => { text(box.value, tile.value); text(box.note, tile.note); });
}

// showConnection tells of what is wrong: this page has lost the server, or the server the broker.
function showConnection() {
  const pill = byId("connection"), banner = byId("banner");
  const away = state && !state.broker.ok;
  const [tone, word, long] = !connected
    ? ["wait", "Reconnecting…", state ? "The connection to Bursar is lost; this page goes on by itself when it is back. What it shows is from before." : ""]
    : away ? ["bad", "Broker away", `The broker does not answer since ${f.when(state.broker.since)}. What is shown is from before; this page goes on by itself.`]
      : state ? ["good", "Live", ""] : ["wait", "Connecting…", ""];
  const first = pill.textContent === "Connecting…"; // nothing was lost
  if (pill.textContent !== word && state && !(first && word === "Live")) say(word === "Live" ? "Bursar is back." : long);
  text(pill, word);
  mark(pill, "data-tone", tone);
  text(banner, long);
  banner.hidden = !long;
}

function show() {
  if (!state) return;
  text(byId("workspace"), state.workspace);
  if (state.now) {
    showTiles(state);
    const alerts = showWindows(state);
    showWork(state);
    const bad = alerts.filter((alert) => alert.tone === "bad"), fresh = known ? bad.filter((alert) => !known.has(alert.id)) : [];
    if (fresh.length) say(fresh.map((alert) => alert.head).join(". "));
    known = new Set(bad.map((alert) => alert.id));
    text(byId("as-of"), `as of ${f.clock(state.now)}, times in ${f.zone || "the zone of this machine"}`);
  }
  showConnection();
  document.title = known?.size ? `(${known.size}) Bursar` : "Bursar";
}

connect({
  hello({ build: current, version, now_ms }) {
    f.setClock(now_ms);
    if (build && build !== current) { location.reload(); return; } // the server is of a newer build than this page
    build = current;
    text(byId("version"), `Bursar ${version}`);
  },
  state(fresh) { state = fresh; show(); },
  events: showEvents,
  advice: showAdvice,
}, (open) => { connected = open; showConnection(); });

setInterval(() => { if (!document.hidden) show(); }, tick);
setInterval(() => { if (!document.hidden && connected) askForecast(); }, forecastEvery);
askForecast();

// The live events. The newest is on top; a pause keeps the list still while a person reads.

import { h, byId, text } from "./dom.js";
import * as f from "./format.js";
import { kind, word } from "./words.js";

const most = 150;

export function feed() {
  const list = byId("feed"), note = byId("feed-note"), pause = byId("pause"), filter = byId("event-filter");
  let events = [], missed = 0, paused = false, waiting = 0;

  const wanted = (event) => {
    const type = kind(event), choice = filter.value;
    return choice === "all" || (choice === "denied" ? type === "reservation.denied" : choice === "limit" ? /^(limit|window|observation|block)\./.test(type) : type.startsWith(choice + "."));
  };

  const item = (event, isNew) => {
    const { what, tone, text: line } = word(event);
    return h("li", { "data-tone": tone || undefined, "data-event": event.id, class: isNew ? "new" : undefined },
      h("time", { datetime: event.time, title: f.inFull(event.time), text: f.clock(event.time) }),
      h("span", { class: "text" }, h("span", { class: "what", text: what }), " ", h("bdi", { text: line })));
  };

  const tell = () => {
    const parts = [];
    if (paused && waiting) parts.push(`${f.plural(waiting, "event")} since the pause.`);
    if (missed) parts.push(`${f.plural(missed, "event")} left out: more happened than a page can show.`);
    if (!events.some(wanted)) parts.push(events.length ? "Nothing of this kind lately." : "Nothing has happened yet.");
    text(note, parts.join(" "));
    note.hidden = parts.length === 0;
  };

  const redraw = () => {
    list.replaceChildren(...events.filter(wanted).map((event) => item(event, false)));
    waiting = 0;
    tell();
  };

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) redraw();
  });
  filter.addEventListener("change", redraw);

  return ({ events: fresh, reset, missed: gone }) => {
    if (reset) { events = []; missed = 0; }
    missed += gone ?? 0;
    const newest = fresh.slice().reverse();
    events = [...newest, ...events].slice(0, most);
    if (reset && !paused) { redraw(); return; }
    if (paused) { waiting += fresh.length; tell(); return; }
    list.prepend(...newest.filter(wanted).slice(0, most).map((event) => item(event, true)));
    while (list.children.length > most) list.lastElementChild.remove();
    tell();
  };
}

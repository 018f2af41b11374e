// Numbers, money and times as people read them, in the language and zone of the viewer.

const whole = new Intl.NumberFormat();
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";

export const count = (n) => whole.format(n ?? 0);

// short writes a number in at most four digits: 950, 12.3k, 4.5M.
export function short(n) {
  const size = Math.abs(n ?? 0);
  for (const [unit, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit * 0.9995) {
      const scaled = n / unit;
      return (Math.abs(scaled) >= 100 ? whole.format(Math.round(scaled)) : oneDigit.format(scaled)) + letter;
    }
  }
  return whole.format(n ?? 0);
}

// money writes micro-dollars; small sums in cents, large ones without.
export function money(micro) {
  const dollars = (micro ?? 0) / 1e6;
  if (dollars < 0) return "−" + money(-micro);
  const size = Math.abs(dollars);
  if (size > 0 && size < 0.01) return "<$0.01";
  if (size >= 10000) return "$" + short(dollars);
  return "$" + (size >= 100 ? whole.format(Math.round(dollars)) : twoDigits.format(dollars));
}

export const amount = (n, unit) => (unit === "micro_usd" ? money(n) : short(n));

export const units = (unit) => (unit === "micro_usd" ? "" : unit.replaceAll("_", " "));

export function exact(n, unit) {
  return unit === "micro_usd" ? "$" + ((n ?? 0) / 1e6).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 6 }) : `${count(n)} ${units(unit)}`;
}

export function percent(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return "";
  if (value > 0 && value < 0.1) return "<0.1%";
  return (value >= 10 ? Math.round(value).toLocaleString() : oneDigit.format(value)) + "%";
}

// confidence rounds down, to 99 % at most: what is computed from some days is never certain.
export function confidence(value) {
  if (value >= 10) return percent(Math.min(99, Math.floor(value)));
  return percent(value >= 0.1 ? Math.floor(value * 10) / 10 : value);
}

// The clock of the broker: what the page tells of times is against it, however wrong this machine's clock is.
let ahead = 0;
export function setClock(serverMS) { ahead = serverMS - Date.now(); }
export const now = () => Date.now() + ahead;

export const ms = (time) => (time ? Date.parse(time) : NaN);

// span writes a length of time by its two largest units.
export function span(length) {
  const seconds = Math.max(0, Math.round(length / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 10 && seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

// expected is the interval within which a grant is predicted: that is promised, and a point in it is not.
export function expected({ grant_from, grant_at, grant_to }) {
  if (!grant_at) return "unknown";
  const left = (at) => Math.max(0, ms(at ?? grant_at) - now());
  const from = left(grant_from), to = Math.max(1000, left(grant_to));
  if (span(from) === span(to)) return `in ${span(to)}`;
  return from < 1000 ? `within ${span(to)}` : `${span(from)} – ${span(to)}`;
}

const clockOnly = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayClock = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const dateClock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

export const clock = (time) => clockSeconds.format(ms(time));
export const inFull = (time) => full.format(ms(time));
export const dayOf = (time) => day.format(ms(time));
export const hourOf = (time) => clockOnly.format(ms(time));

// when writes a time as shortly as it is clear: the clock today, the weekday this week, else the date.
export function when(time) {
  const at = ms(time), distance = Math.abs(at - now());
  if (new Date(at).toDateString() === new Date(now()).toDateString()) return clockOnly.format(at);
  return (distance < 6 * 86400e3 ? dayClock : dateClock).format(at);
}

export const tokens = (t) => (t ? (t.input ?? 0) + (t.cache_read ?? 0) + (t.cache_write_5m ?? 0) + (t.cache_write_1h ?? 0) + (t.output ?? 0) : 0);

export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

export const words = (code) => (code ?? "").replaceAll("_", " ");

// The connection to the server: one stream of messages, opened again whenever it ends or falls silent, behind the last
// event that was seen.

const silence = 25000; // the server gives a sign of life every ten seconds
const firstPause = 500, longestPause = 8000;

// connect hands each message to on[kind](data) and tells onStatus whether the stream is open.
export function connect(on, onStatus) {
  let source, last = "", pause = firstPause, watch, timer;

  function open() {
    source = new EventSource("/api/events" + (last ? "?after=" + encodeURIComponent(last) : ""));
    for (const kind of ["hello", "state", "advice", "events", "beat"]) {
      source.addEventListener(kind, (message) => {
        alive();
        if (message.lastEventId) last = message.lastEventId;
        if (kind === "hello") { pause = firstPause; onStatus(true); }
        on[kind]?.(JSON.parse(message.data));
      });
    }
    source.addEventListener("error", again);
    alive();
  }

  function alive() {
    clearTimeout(watch);
    watch = setTimeout(again, silence);
  }

  function again() {
    source.close();
    clearTimeout(watch);
    clearTimeout(timer);
    onStatus(false);
    timer = setTimeout(knock, pause * (0.75 + Math.random() / 2));
    pause = Math.min(2 * pause, longestPause);
  }

  // knock asks first whether the login still holds: a stream does not tell why it is refused.
  async function knock() {
    try {
      const response = await fetch("/api/session");
      if (response.status === 401) { location.assign("/login"); return; }
    } catch {
      timer = setTimeout(knock, pause);
      pause = Math.min(2 * pause, longestPause);
      return;
    }
    open();
  }

  // A phone that wakes up finds out at once.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && source.readyState === EventSource.CLOSED) { clearTimeout(timer); pause = firstPause; knock(); }
  });
  open();
}

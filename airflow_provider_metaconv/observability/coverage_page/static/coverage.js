/** Pure functions from Airflow's answers to what the page shows. Times are seconds since 1970. */

export const HOUR = 3600;
export const DAY = 24 * HOUR;
export const RANGES = [
  { label: "24 h", seconds: DAY },
  { label: "7 d", seconds: 7 * DAY },
  { label: "30 d", seconds: 30 * DAY },
  { label: "90 d", seconds: 90 * DAY },
];

const GRACE = 15 * 60;
const PAGE_LABEL = /^(MESSENGER|INSTAGRAM)\/\d+$/;
const PLATFORMS = { MESSENGER: "Messenger", INSTAGRAM: "Instagram" };

/** The states of a Page and platform, worst first. The symbol says the same as the colour. */
export const STATES = {
  failed: { rank: 0, symbol: "✕", level: "bad" },
  never: { rank: 1, symbol: "○", level: "bad" },
  partial: { rank: 2, symbol: "◐", level: "bad" },
  gaps: { rank: 3, symbol: "▲", level: "bad" },
  late: { rank: 4, symbol: "◷", level: "warn" },
  current: { rank: 5, symbol: "●", level: "good" },
};

/** The rows of an event as objects; an event of another shape has none. */
export function rowsOf(event) {
  const { columns, rows } = event.extra ?? {};
  if (!Array.isArray(columns) || !Array.isArray(rows)) return [];
  return rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
}

/**
 * Pages by label from events, newest first. `latest` is a Page's newest row, and `windows` has the newest row of each
 * window, because a window that is read again replaces the earlier result.
 */
export function pagesOf(events) {
  const pages = new Map();
  for (const event of events) {
    for (const row of rowsOf(event)) {
      const source = { dag: event.source_dag_id, run: event.source_run_id, at: seconds(event.timestamp) };
      const entry = { ...row, ...source };
      const page = pages.get(row.page) ?? newPage(row.page);
      page.latest ??= entry;
      const window = `${row.since}-${row.until}`;
      if (!page.windows.has(window)) page.windows.set(window, entry);
      pages.set(row.page, page);
    }
  }
  return pages;
}

/** Adds what the latest runs say of Pages: a failure is never in an event. Returns the same pages. */
export function withTasks(pages, tasks) {
  for (const task of tasks) {
    if (!PAGE_LABEL.test(task.label ?? "")) continue;
    const page = pages.get(task.label) ?? newPage(task.label);
    if (task.isFailure) page.failure = task;
    else page.activity = task;
    pages.set(task.label, page);
  }
  return pages;
}

function newPage(label) {
  const [platform, id] = label.split("/");
  return { label, id, platform: PLATFORMS[platform] ?? platform, latest: null, windows: new Map() };
}

/** The state of a page, one of `STATES`, and a few words on it. */
export function stateOf(page, now) {
  const { latest, failure } = page;
  if (failure && (!latest || failure.at > latest.at)) return { code: "failed", text: "Last run failed" };
  if (!latest || latest.covered_until === null) {
    return { code: "never", text: latest?.complete ? "Covered time unknown" : "Nothing covered yet" };
  }
  if (isPartial(latest)) return { code: "partial", text: "Last window partial" };
  if (latest.gap_count) return { code: "gaps", text: gapText(latest) };
  if (isLate(page, now)) return { code: "late", text: "Late" };
  return { code: "current", text: "Up to date" };
}

/** Whether the newest window that is covered ended more than two windows ago. */
export function isLate(page, now) {
  return now - page.latest.covered_until > 2 * cadence(page) + GRACE;
}

function isPartial(row) {
  return !row.complete && row.until > (row.covered_until ?? 0);
}

function gapText(row) {
  const missing = row.gaps.reduce((sum, [since, until]) => sum + until - since, 0);
  const more = row.gap_count > row.gaps.length ? "more than " : "";
  return `${count(row.gap_count, "gap")}, ${more}${duration(missing)}`;
}

/** How often a page is read: the median length of its windows, a day if there are only full histories. */
export function cadence(page) {
  const lengths = [...page.windows.values()].filter((row) => row.since).map((row) => row.until - row.since);
  lengths.sort((a, b) => a - b);
  return lengths.length ? lengths[Math.floor(lengths.length / 2)] : DAY;
}

/** What to draw between `from` and `to`: `[kind, since, until]`, where later parts cover earlier ones. */
export function segments(row, from, to) {
  if (!row) return [];
  const parts = [];
  const add = (kind, since, until) => {
    const [start, end] = [Math.max(since, from), Math.min(until, to)];
    if (start < end) parts.push([kind, start, end]);
  };
  // Of more gaps than the row lists, the older ones are unknown, and so is the time before those listed.
  const since = row.gap_count > row.gaps.length ? row.gaps[0]?.[0] : row.covered_since;
  if (row.covered_until !== null && since != null) add("covered", since, row.covered_until);
  for (const [start, end] of row.gaps) add("gap", start, end);
  if (isPartial(row)) add("gap", Math.max(row.since, row.covered_until ?? 0), row.until);
  return parts;
}

/** The figures of a page's windows that end after `from`. */
export function figuresOf(page, from) {
  const windows = [...page.windows.values()].filter((row) => row.until > from).sort((a, b) => a.until - b.until);
  const sum = (name) => windows.reduce((total, row) => total + (row[name] ?? 0), 0);
  return {
    windows,
    messages: sum("messages"),
    truncated: sum("truncated"),
    unreadable: sum("unreadable"),
    incomplete: sum("truncated") + sum("unreadable"),
    calls: sum("calls"),
    waits: sum("waits"),
    usage: windows.reduce((most, row) => Math.max(most, row.usage_percent ?? 0), 0),
    volumes: windows.filter((row) => row.since).map((row) => row.messages),
  };
}

/** Calls per 1,000 messages, or null without messages. */
export function callsPerThousand({ calls, messages }) {
  return messages ? (1000 * calls) / messages : null;
}

/** The figures above the table. */
export function summaryOf(entries) {
  const sum = (name) => entries.reduce((total, { figures }) => total + figures[name], 0);
  return {
    pages: entries.length,
    current: entries.filter(({ state }) => state.code === "current").length,
    gaps: entries.reduce((total, { page }) => total + (page.latest?.gap_count ?? 0), 0),
    messages: sum("messages"),
    incomplete: sum("incomplete"),
    perThousand: callsPerThousand({ calls: sum("calls"), messages: sum("messages") }),
    usage: entries.reduce((most, { figures }) => Math.max(most, figures.usage), 0),
    waits: sum("waits"),
  };
}

export const ORDERS = {
  page: (a, b) => a.page.id.localeCompare(b.page.id, "en", { numeric: true }) || compare(a.page.platform, b.page.platform),
  state: (a, b) => STATES[a.state.code].rank - STATES[b.state.code].rank,
  freshness: (a, b) => (a.page.latest?.covered_until ?? 0) - (b.page.latest?.covered_until ?? 0),
  messages: (a, b) => b.figures.messages - a.figures.messages,
  incomplete: (a, b) => b.figures.incomplete - a.figures.incomplete,
  calls: (a, b) => (callsPerThousand(b.figures) ?? -1) - (callsPerThousand(a.figures) ?? -1),
  usage: (a, b) => b.figures.usage - a.figures.usage,
};

/** The entries in an order of `ORDERS`; equal ones by Page. */
export function sorted(entries, order, isReversed) {
  const direction = isReversed ? -1 : 1;
  return [...entries].sort((a, b) => direction * ORDERS[order](a, b) || ORDERS.page(a, b));
}

/** Whether an entry matches the words of a filter. */
export function matches({ page, state }, words) {
  const text = `${page.label} ${page.platform} ${state.text}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** The end of access that comes first: `{connection, at}`, at null if no access ends, or null without any event. */
export function accessEnd(events) {
  const newest = new Map();
  for (const { extra } of events) {
    if (extra?.meta_conn_id && !newest.has(extra.meta_conn_id)) newest.set(extra.meta_conn_id, extra);
  }
  const ends = [...newest.values()].flatMap((extra) =>
    [extra.expires_at, extra.data_access_expires_at]
      .filter((at) => at && at !== "never")
      .map((at) => ({ connection: extra.meta_conn_id, at: seconds(at) })),
  );
  if (!newest.size) return null;
  return ends.sort((a, b) => a.at - b.at)[0] ?? { connection: [...newest.keys()].join(", "), at: null };
}

/** Ticks between `from` and `to`, at full hours or days of a time zone. */
export function ticks(from, to, zone) {
  const step = [HOUR, 3 * HOUR, 6 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY].find((each) => (to - from) / each <= 7) ?? 30 * DAY;
  const shift = zoneOffset(from, zone);
  const found = [];
  for (let at = Math.ceil((from + shift) / step) * step - shift; at < to; at += step) found.push(at);
  return { step, at: found };
}

function zoneOffset(at, zone) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  const [day, month, year, hour, minute, second] = parts.format(at * 1000).match(/\d+/g).map(Number);
  return Date.UTC(year, month - 1, day, hour % 24, minute, second) / 1000 - Math.floor(at);
}

/** A time span in at most two units: `45 min`, `3 h 20 min`, `2 d 4 h`. */
export function duration(span) {
  const minutes = Math.round(span / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 && hours < 10 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const rest = hours % 24;
  return rest && hours < 10 * 24 ? `${Math.floor(hours / 24)} d ${rest} h` : `${Math.round(hours / 24)} d`;
}

export function number(value, digits = 0) {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function seconds(text) {
  return Date.parse(text) / 1000;
}

function compare(a, b) {
  return a < b ? -1 : Number(a > b);
}

/** What the coverage page's pure functions promise. Run by test_coverage_model.py with `node --test`. */

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { test } from "node:test";

const {
  DAY, HOUR, accessEnd, callsPerThousand, duration, figuresOf, matches, pagesOf, segments, sorted, stateOf, summaryOf, ticks, withTasks,
} = await import(pathToFileURL(process.env.COVERAGE_MODULE));

const NOW = 1_764_000_000;
const COLUMNS = ["page", "since", "until", "complete", "messages", "truncated", "unreadable", "calls", "waits", "usage_percent", "covered_since", "covered_until", "gaps", "gap_count"];

function row(changes = {}) {
  const values = {
    page: "MESSENGER/100", since: NOW - HOUR, until: NOW, complete: true, messages: 10, truncated: 0, unreadable: 0, calls: 2, waits: 0,
    usage_percent: 5, covered_since: 0, covered_until: NOW, gaps: [], gap_count: 0, ...changes,
  };
  return COLUMNS.map((column) => values[column]);
}

function event(at, ...rows) {
  return { timestamp: new Date(at * 1000).toISOString(), source_dag_id: "dag", source_run_id: `run ${at}`, extra: { columns: COLUMNS, rows } };
}

function page(...events) {
  return pagesOf(events).get("MESSENGER/100");
}

function failure(at) {
  return { label: "MESSENGER/100", isFailure: true, at };
}

test("the newest event decides what is covered", () => {
  const earlier = event(NOW, row({ since: NOW - 2 * HOUR, until: NOW - HOUR, covered_until: NOW - HOUR }));
  assert.equal(page(event(NOW + 60, row()), earlier).latest.covered_until, NOW);
});

test("a window that is read again counts once", () => {
  const again = page(event(NOW + 60, row({ messages: 12 })), event(NOW, row({ messages: 10 })));
  assert.equal(figuresOf(again, NOW - DAY).messages, 12);
});

test("columns are found by name, in any order and number", () => {
  const other = { ...event(NOW), extra: { columns: ["new", "messages", "page"], rows: [[1, 7, "MESSENGER/100"]] } };
  assert.equal(page(other).latest.messages, 7);
});

test("events of another shape are ignored", () => {
  assert.equal(pagesOf([{ ...event(NOW), extra: { rows: 3 } }, { ...event(NOW), extra: null }]).size, 0);
});

for (const [name, changes, code] of [
  ["a Page without a gap is up to date", {}, "current"],
  ["a Page with a gap says so", { gaps: [[NOW - 5 * HOUR, NOW - 3 * HOUR]], gap_count: 1 }, "gaps"],
  ["a Page without a complete window has nothing covered", { covered_until: null, complete: false }, "never"],
  ["a partial window after the covered time is partial", { complete: false, covered_until: NOW - HOUR }, "partial"],
  ["a window that was covered otherwise is not partial", { complete: false, covered_until: NOW + HOUR }, "current"],
]) {
  test(name, () => assert.equal(stateOf(page(event(NOW, row(changes))), NOW).code, code));
}

test("a Page is late after two of its windows", () => {
  const hourly = page(event(NOW, row()));
  assert.equal(stateOf(hourly, NOW + 2 * HOUR).code, "current");
  assert.equal(stateOf(hourly, NOW + 3 * HOUR).code, "late");
});

test("a failure after the last event is shown, an earlier one is not", () => {
  const failed = (at) => stateOf(withTasks(pagesOf([event(NOW, row())]), [failure(at)]).get("MESSENGER/100"), NOW).code;
  assert.equal(failed(NOW + 1), "failed");
  assert.equal(failed(NOW - 1), "current");
});

test("a Page that always failed has a row", () => {
  const pages = withTasks(new Map(), [failure(NOW), { label: null, isFailure: true, at: NOW }]);
  assert.deepEqual([...pages.keys()], ["MESSENGER/100"]);
  assert.equal(stateOf(pages.get("MESSENGER/100"), NOW).code, "failed");
});

function drawn(changes) {
  return segments(page(event(NOW, row(changes))).latest, NOW - DAY, NOW);
}

test("covered time is cut to the time shown, gaps lie over it", () => {
  const gaps = [[NOW - 5 * HOUR, NOW - 3 * HOUR]];
  assert.deepEqual(drawn({ gaps, gap_count: 1 }), [["covered", NOW - DAY, NOW], ["gap", NOW - 5 * HOUR, NOW - 3 * HOUR]]);
});

test("a partial window is a gap", () => {
  const parts = drawn({ complete: false, covered_until: NOW - HOUR });
  assert.deepEqual(parts, [["covered", NOW - DAY, NOW - HOUR], ["gap", NOW - HOUR, NOW]]);
});

test("time before the gaps that are listed is not shown as covered", () => {
  const gaps = [[NOW - 5 * HOUR, NOW - 3 * HOUR]];
  assert.deepEqual(drawn({ gaps, gap_count: 9 })[0], ["covered", NOW - 5 * HOUR, NOW]);
});

test("nothing is shown as covered without a complete window or a known start", () => {
  assert.deepEqual(drawn({ covered_until: null }), []);
  assert.deepEqual(drawn({ covered_since: null }), []);
  assert.deepEqual(segments(null, NOW - DAY, NOW), []);
});

test("figures include only windows that end in the time shown", () => {
  const earlier = event(NOW - 2 * DAY, row({ since: NOW - 3 * DAY, until: NOW - 2 * DAY, messages: 5 }));
  const shown = page(event(NOW, row({ unreadable: 1, truncated: 2 })), earlier);
  assert.equal(figuresOf(shown, NOW - DAY).messages, 10);
  assert.equal(figuresOf(shown, NOW - DAY).incomplete, 3);
  assert.equal(figuresOf(shown, NOW - 7 * DAY).messages, 15);
});

test("a full history is no bar among the volumes of windows", () => {
  const shown = page(event(NOW, row()), event(NOW - HOUR, row({ since: 0, until: NOW - HOUR, messages: 5000 })));
  assert.deepEqual(figuresOf(shown, NOW - DAY).volumes, [10]);
});

test("calls per 1,000 messages need messages", () => {
  assert.equal(callsPerThousand({ calls: 3, messages: 1500 }), 2);
  assert.equal(callsPerThousand({ calls: 3, messages: 0 }), null);
});

function entries(...rows) {
  return [...pagesOf([event(NOW, ...rows)]).values()].map((each) => ({
    page: each, state: stateOf(each, NOW), figures: figuresOf(each, NOW - DAY),
  }));
}

test("the summary adds up the rows", () => {
  const { pages, current, gaps, messages, perThousand, usage } = summaryOf(
    entries(row(), row({ page: "INSTAGRAM/100", gaps: [[NOW - 3, NOW - 2]], gap_count: 1, usage_percent: 40 })),
  );
  assert.deepEqual({ pages, current, gaps, messages, perThousand, usage }, { pages: 2, current: 1, gaps: 1, messages: 20, perThousand: 200, usage: 40 });
});

test("the worst comes first, and Pages sort by number", () => {
  const gap = { gaps: [[NOW - 3, NOW - 2]], gap_count: 1 };
  const all = entries(row({ page: "MESSENGER/1000" }), row({ page: "MESSENGER/200" }), row({ page: "MESSENGER/3000", ...gap }));
  assert.deepEqual(sorted(all, "state", false).map((each) => each.page.id), ["3000", "200", "1000"]);
  assert.deepEqual(sorted(all, "page", true).map((each) => each.page.id), ["3000", "1000", "200"]);
});

test("a filter finds Pages, platforms and states", () => {
  const [entry] = entries(row());
  assert.deepEqual(["100", "mess 1", "up to date", "insta"].map((words) => matches(entry, words)), [true, true, true, false]);
});

test("the access that ends first is shown, from the newest event of each connection", () => {
  const extra = (meta_conn_id, expires_at, data_access_expires_at) => ({ extra: { meta_conn_id, expires_at, data_access_expires_at } });
  const events = [extra("a", "never", "2026-12-01T00:00:00Z"), extra("b", "2026-11-28T00:00:00Z", null), extra("b", "2026-11-27T00:00:00Z", null)];
  assert.deepEqual(accessEnd(events), { connection: "b", at: Date.UTC(2026, 10, 28) / 1000 });
  assert.deepEqual(accessEnd([extra("a", "never", "never")]), { connection: "a", at: null });
  assert.equal(accessEnd([]), null);
});

test("ticks are at full hours and days of the time zone", () => {
  const midnight = Date.UTC(2026, 10, 27) / 1000;
  assert.equal(ticks(midnight - 7 * DAY, midnight, "UTC").at[0], midnight - 7 * DAY);
  assert.equal(ticks(midnight - 7 * DAY, midnight, "Asia/Kolkata").at[0], midnight - 7 * DAY + 18.5 * HOUR);
});

test("durations have at most two units", () => {
  const spans = [0, 45 * 60, 3 * HOUR + 1200, 30 * HOUR, 2 * DAY + 4 * HOUR, 40 * DAY];
  assert.deepEqual(spans.map(duration), ["0 min", "45 min", "3 h 20 min", "30 h", "2 d 4 h", "40 d"]);
});

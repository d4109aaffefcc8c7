/** Draws entries as a table. Texts are set as text, never as markup. */

import { logUrl, runUrl } from "./api.js";
import { DAY, STATES, callsPerThousand, count, duration, isLate, number, segments, ticks } from "./coverage.js";

const SVG = "http://www.w3.org/2000/svg";
const ROWS_AT_ONCE = 100;
const BARS = 32;
const RUNS = 6;

export const COLUMNS = [
  { name: "page", title: "Page" },
  { name: "state", title: "Covered time" },
  { name: "freshness", title: "Covered until" },
  { name: "messages", title: "Messages", hint: "Messages read in the windows of this time, and per window" },
  { name: "incomplete", title: "Incomplete", hint: "Conversations that Meta did not return whole, counted per window" },
  { name: "calls", title: "Calls / 1,000", hint: "Calls to Meta per 1,000 messages" },
  { name: "usage", title: "Limits", hint: "How full Meta's fullest limit was at its fullest" },
];

/** Creates an element; `null` children and properties are left out. */
export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key in node && key !== "role") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** A link into Airflow's UI. */
export function link(href, text, label) {
  return element("a", { href, className: "airflow", "aria-label": label }, text);
}

/** Formats times in a time zone. */
export function clock(zone) {
  const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
  const full = format({ day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  const day = format({ day: "numeric", month: "short" });
  const hour = format({ hour: "2-digit", minute: "2-digit" });
  return {
    zone,
    full: (at) => (at ? full.format(at * 1000) : "the first message"),
    tick: (at, step) => (step < DAY ? hour : day).format(at * 1000),
  };
}

/** The table of these entries. It is filled in slices, so that the page never blocks. */
export function table(entries, context) {
  const { order, isReversed, onSort } = context;
  const heads = COLUMNS.map(({ name, title, hint }) => {
    const isSorted = name === order;
    const arrow = isSorted ? (isReversed ? "▲" : "▼") : "";
    const button = element(
      "button",
      { type: "button", title: hint, onclick: () => onSort(name) },
      title,
      element("span", { className: "arrow", "aria-hidden": "true" }, arrow),
    );
    const cell = element("th", { scope: "col", role: "columnheader", className: name }, button);
    if (isSorted) cell.setAttribute("aria-sort", isReversed ? "descending" : "ascending");
    if (name === "state") cell.append(axis(context));
    return cell;
  });
  const body = element("tbody", { role: "rowgroup" });
  fill(body, entries, context);
  return element(
    "table",
    { role: "table", "aria-label": "Coverage by Page and platform", "aria-rowcount": entries.length + 1 },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads)),
    body,
  );
}

function fill(body, entries, context) {
  const { onFilled } = context;
  let next = 0;
  const slice = () => {
    if (next > 0 && !body.isConnected) return;
    const rows = document.createDocumentFragment();
    for (const entry of entries.slice(next, next + ROWS_AT_ONCE)) rows.append(...row(entry, context));
    body.append(rows);
    next += ROWS_AT_ONCE;
    if (next < entries.length) setTimeout(slice);
    else {
      body.dataset.filled = "true";
      onFilled();
    }
  };
  slice();
}

function axis({ from, now, time }) {
  const { step, at } = ticks(from, now, time.zone);
  const labels = at.map((each) => {
    const left = (100 * (each - from)) / (now - from);
    // A label that would not fit is left out, its line is not.
    const label = element("span", {}, left < 86 ? time.tick(each, step) : "");
    label.style.left = `${left}%`;
    return label;
  });
  return element("div", { className: "axis", "aria-hidden": "true" }, labels);
}

function row(entry, context) {
  const { page, state, figures } = entry;
  const { level, symbol } = STATES[state.code];
  const id = `details-${page.label.replace("/", "-")}`;
  const toggle = element(
    "button",
    { type: "button", className: "toggle", "aria-expanded": "false", "aria-controls": id },
    element("span", { className: `symbol ${level}`, "aria-hidden": "true" }, symbol),
    element("span", { className: "name" }, element("b", {}, page.id), element("small", {}, page.platform)),
  );
  const line = element(
    "tr",
    { role: "row", className: "page", "data-page": page.label, "data-state": state.code },
    cell("page", toggle),
    cell("state", bar(entry, context), words(page, state)),
    cell("freshness", freshness(page, context)),
    cell("messages", spark(figures.volumes), element("span", { className: "figure" }, number(figures.messages))),
    cell("incomplete", incomplete(figures)),
    cell("calls", figure(callsPerThousand(figures), (value) => number(value, 1))),
    cell("usage", meter(figures.usage, figures.waits)),
  );
  const { opened } = context;
  const lines = [line];
  if (opened.has(page.label)) {
    toggle.setAttribute("aria-expanded", "true");
    lines.push(details(entry, context, id));
  }
  line.addEventListener("click", (event) => {
    if (event.target.closest("a") || getSelection().toString()) return;
    const isOpen = opened.delete(page.label);
    toggle.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) return void line.nextSibling.remove();
    opened.add(page.label);
    line.after(details(entry, context, id));
  });
  return lines;
}

function cell(name, ...children) {
  return element("td", { role: "cell", className: name }, ...children);
}

function figure(value, format) {
  return element("span", { className: "figure" }, value === null ? "–" : format(value));
}

function words(page, state) {
  const activity = { running: "reading now", up_for_reschedule: "waiting for a rate limit", up_for_retry: "trying again" };
  const also = activity[page.activity?.state];
  const { level } = STATES[state.code];
  // What is as it should be takes no room.
  const className = level === "good" && !also ? "unseen" : `words ${level}`;
  return element("span", { className }, also ? `${state.text}, ${also}` : state.text);
}

/** The bar of covered time. */
function bar({ page, state }, { from, now, time }) {
  const parts = segments(page.latest, from, now);
  const svg = shape("svg", { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img" });
  const title = document.createElementNS(SVG, "title");
  title.textContent = barText(page, state, time);
  svg.append(title);
  const x = (at) => (1000 * (at - from)) / (now - from);
  for (const [kind, since, until] of parts) {
    // A gap of minutes must not vanish in a bar of weeks.
    const width = Math.max(x(until) - x(since), kind === "gap" ? 4 : 0);
    // Gaps are also taller: colour is not the only sign.
    const [y, height] = kind === "gap" ? [0, 10] : [1.5, 7];
    svg.append(shape("rect", { class: kind, x: x(since), width, y, height }));
  }
  return svg;
}

function barText(page, state, time) {
  const { latest } = page;
  if (!latest || latest.covered_until === null) return state.text;
  const text = `Covered from ${time.full(latest.covered_since)} until ${time.full(latest.covered_until)}`;
  return latest.gap_count ? `${text}, but for ${count(latest.gap_count, "gap")}` : `${text}, without a gap`;
}

function freshness(page, { now, time }) {
  const { latest } = page;
  if (!latest || latest.covered_until === null) return figure(null);
  const text = ago(latest.covered_until, now);
  return element(
    "time",
    { dateTime: new Date(latest.covered_until * 1000).toISOString(), title: time.full(latest.covered_until), className: isLate(page, now) ? "aged" : "" },
    text,
  );
}

function ago(at, now) {
  return now - at < 60 ? "just now" : `${duration(now - at)} ago`;
}

/** The messages of the latest windows as small bars; the figure beside it is its text. */
function spark(volumes) {
  const shown = volumes.slice(-BARS);
  const svg = shape("svg", { class: "spark", viewBox: `0 0 ${BARS * 3} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const most = Math.max(1, ...shown);
  const path = shown
    .map((volume, index) => {
      const height = Math.max((volume / most) * 19, volume ? 1.5 : 0.5);
      return `M${(BARS - shown.length + index) * 3} ${20 - height}h2v${height}h-2z`;
    })
    .join("");
  svg.append(shape("path", { d: path }));
  return svg;
}

function incomplete(figures) {
  if (!figures.windows.length) return figure(null);
  const reasons = [
    figures.truncated && `${number(figures.truncated)} whose older messages the platform withholds`,
    figures.unreadable && `${number(figures.unreadable)} that Meta did not return`,
  ].filter(Boolean);
  const className = figures.unreadable ? "figure bad" : figures.truncated ? "figure warn" : "figure zero";
  return element("span", { className, title: reasons.join(", ") || null }, number(figures.incomplete));
}

function meter(percent, waits) {
  const level = percent >= 90 ? "bad" : percent >= 70 ? "warn" : "good";
  const fill = element("i", { className: level });
  fill.style.width = `${Math.min(percent, 100)}%`;
  const text = `${number(percent)} %`;
  const title = waits ? `${text}, and ${count(waits, "wait")} for a rate limit` : text;
  return element(
    "span",
    { className: "limit", title },
    element("span", { className: "meter", "aria-hidden": "true" }, fill),
    element("span", { className: "figure" }, text, waits ? element("span", { className: "unseen" }, `, ${count(waits, "wait")}`) : null),
  );
}

function details({ page, state, figures }, { time, now }, id) {
  const { latest, failure, activity } = page;
  const blocks = [];
  const facts = [["State", state.text]];
  if (latest) {
    if (latest.covered_until !== null) {
      facts.push(["Covered from", time.full(latest.covered_since)], ["Covered until", time.full(latest.covered_until)]);
    }
    facts.push(["Gaps", latest.gap_count ? gapList(latest, time) : "none"]);
  }
  blocks.push(facts_(facts, "Coverage"));
  if (latest) {
    blocks.push(
      facts_(
        [
          ["Messages", number(figures.messages)],
          ["Conversations cut short by the platform", number(figures.truncated)],
          ["Conversations that Meta did not return", number(figures.unreadable)],
          ["Calls", number(figures.calls)],
          ["Waits for a rate limit", number(figures.waits)],
        ],
        "In the time shown",
      ),
    );
  }
  const links = [];
  if (failure) links.push(element("li", {}, `Failed ${ago(failure.at, now)}: `, link(logUrl(failure), "log of the failure")));
  if (activity) links.push(element("li", {}, "Active now: ", link(logUrl(activity), "log of the task")));
  const recent = [...page.windows.values()].sort((a, b) => b.at - a.at).slice(0, RUNS);
  for (const each of recent) links.push(element("li", {}, run(each, time)));
  blocks.push(element("div", {}, element("h3", {}, "Latest runs"), element("ul", { className: "runs" }, links)));
  return element("tr", { role: "row", className: "details", id }, element("td", { role: "cell", colSpan: COLUMNS.length }, blocks));
}

function run(row, time) {
  const at = time.full(row.at);
  return [
    link(runUrl(row.dag, row.run), at, `Run that loaded at ${at}`),
    element("span", { className: "figure" }, count(row.messages, "message")),
    link(logUrl(row), "log", `Log of the extraction of ${at}`),
    row.complete ? null : element("span", { className: "bad" }, "partial"),
  ];
}

function gapList(row, time) {
  const lines = row.gaps.map(([since, until]) => element("li", {}, `${time.full(since)} – ${time.full(until)} (${duration(until - since)})`));
  const older = row.gap_count - row.gaps.length;
  if (older > 0) lines.unshift(element("li", {}, `${count(older, "older gap")}`));
  return element("ul", {}, lines);
}

function facts_(facts, title) {
  const lines = facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("div", {}, element("h3", {}, title), element("dl", {}, lines));
}

/** The figures above the table. */
export function summary(figures, access, now) {
  const { pages, current } = figures;
  const tiles = [
    ["Up to date", `${number(current)} of ${number(pages)}`, current < pages ? "bad" : "good"],
    ["Gaps", number(figures.gaps), figures.gaps ? "bad" : "good"],
    ["Messages", number(figures.messages)],
    ["Incomplete", number(figures.incomplete), figures.incomplete ? "warn" : "good"],
    ["Calls / 1,000", figures.perThousand === null ? "–" : number(figures.perThousand, 1)],
    ["Fullest limit", `${number(figures.usage)} %`, figures.usage >= 90 ? "bad" : figures.usage >= 70 ? "warn" : null],
  ];
  if (access) {
    const left = access.at === null ? null : access.at - now;
    const level = left === null || left > 14 * DAY ? null : left > 3 * DAY ? "warn" : "bad";
    tiles.push(["Access ends", left === null ? "never" : left > 0 ? `in ${duration(left)}` : "ended", level]);
  }
  return tiles.map(([name, value, level]) =>
    element("div", {}, element("dt", {}, name), element("dd", { className: level ?? "" }, value)),
  );
}

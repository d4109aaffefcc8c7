/** The page: reads, keeps what the viewer chose, and draws. */

import { ApiError, accessEvents, dagUrl, findAssets, newestEvent, producersOf, readDags, readEvents, runUrl } from "./api.js";
import { RANGES, accessEnd, count, figuresOf, matches, pagesOf, sorted, stateOf, summaryOf, withTasks } from "./coverage.js";
import { clock, element, link, summary, table } from "./view.js";

const DAG_ID = new URLSearchParams(location.search).get("dag_id");
const CHOICES = "metaconv-coverage";
const DEFAULT_RANGE = 7 * 24 * 3600;
const $ = (id) => document.getElementById(id);

const choices = { range: DEFAULT_RANGE, order: "state", isReversed: false, ...stored(CHOICES) };
const opened = new Set();
let found = null;
let reading = 0;

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function choose(changes) {
  Object.assign(choices, changes);
  try {
    localStorage.setItem(CHOICES, JSON.stringify(choices));
  } catch {
    // A browser without storage forgets the choice.
  }
  draw();
}

function chooseRange(range) {
  choose({ range });
  // Events are read only as far back as they are shown.
  if (found && Date.now() / 1000 - range < found.since) read();
}

/** Airflow's UI keeps its theme and time zone in the storage that this page shares. */
function applyTheme() {
  const theme = localStorage.getItem("theme");
  document.documentElement.dataset.theme = theme === "light" || theme === "dark" ? theme : "system";
  if (window.parent !== window) {
    document.documentElement.classList.add("framed");
    // The tab of a DAG has the title.
    document.documentElement.classList.toggle("tab", DAG_ID !== null);
    likeAirflow();
    // Airflow's document may change its colours a moment later.
    setTimeout(likeAirflow, 300);
  }
}

/** Takes the font and the background of Airflow's document: that of the nearest element that has one. */
function likeAirflow() {
  document.body.style.fontFamily = getComputedStyle(window.parent.document.body).fontFamily;
  for (let node = window.frameElement; node; node = node.parentElement) {
    const { backgroundColor } = getComputedStyle(node);
    if (backgroundColor === "rgba(0, 0, 0, 0)") continue;
    document.documentElement.style.setProperty("--paper", backgroundColor);
    return;
  }
}

function timeZone() {
  const zone = stored("timezone");
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone ?? "UTC" }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

async function read() {
  reading += 1;
  const number = reading;
  const isCancelled = () => number !== reading;
  document.querySelector("main").setAttribute("aria-busy", "true");
  try {
    await readAll(isCancelled);
  } catch (error) {
    if (!isCancelled()) say(...explanation(error));
  }
  if (!isCancelled()) document.querySelector("main").setAttribute("aria-busy", "false");
}

async function readAll(isCancelled) {
  const { coverage, access } = await findAssets();
  const producers = coverage ? producersOf(coverage) : [];
  const dagIds = DAG_ID ? producers.filter((dag) => dag === DAG_ID) : producers;
  if (!coverage || (DAG_ID && !dagIds.length)) return say(...withoutCoverage());
  const since = Date.now() / 1000 - choices.range;
  const next = { events: [], dags: [], unseen: 0, access: null, isLimited: false, since };
  const show = () => {
    if (isCancelled()) return;
    found = next;
    draw();
  };
  const dags = readDags(dagIds).then((answers) => {
    next.dags = answers;
    next.unseen = dagIds.length - answers.length;
  });
  const ends = access ? accessEvents(access).then((events) => void (next.access = accessEnd(events)), () => {}) : null;
  let isFirst = true;
  await readEvents(coverage, DAG_ID, since, (events, isLimited) => {
    Object.assign(next, { events, isLimited });
    // What the latest runs say belongs to the first picture, or states would change under the viewer's eyes.
    if (isFirst) Promise.all([dags, ends]).then(show);
    isFirst = false;
  }, isCancelled);
  const seen = new Set(next.events.map((event) => event.source_dag_id));
  const late = await Promise.all(dagIds.filter((dag) => !seen.has(dag)).slice(0, 40).map((dag) => newestEvent(coverage, dag)));
  next.events = [...next.events, ...late.flat()];
  await Promise.all([dags, ends]);
  show();
}

function explanation(error) {
  const again = element("button", { type: "button", onclick: read }, "Try again");
  if (!(error instanceof ApiError)) {
    console.error(error);
    return ["This page has failed.", [`${error.name}: ${error.message} `, again]];
  }
  if (error.status === 401) return ["Your session has ended.", ["Log in to Airflow again, then reload this page."]];
  if (error.status === 403) {
    return [
      "You may not see assets in this Airflow.",
      ["This page shows only what your account may see. Ask an administrator for the permission to view assets and DAGs."],
    ];
  }
  const why = error.status ? `It answered with HTTP ${error.status}.` : "It did not answer.";
  return ["Airflow's API cannot be read.", [why, " ", again]];
}

function withoutCoverage() {
  const all = new URL("./", location.href).href;
  if (DAG_ID) {
    return ["This DAG loads no conversations.", [element("a", { href: all }, "Show the coverage of all DAGs")]];
  }
  return [
    "No DAG reports coverage yet.",
    ["Create one with meta_conversations_dag(…), or give the load task of your own DAG the outlet Asset(\"meta_conversations_coverage\")."],
  ];
}

function withoutRun() {
  const lines = found.dags.map((dag) => {
    const name = link(dagUrl(dag.id), dag.id);
    const { latest } = dag;
    if (dag.isPaused) return element("p", {}, name, " is paused: unpause it, or trigger it.");
    if (!latest) return element("p", {}, name, " has not run yet: trigger the DAG.");
    if (latest.state === "failed") return element("p", {}, name, ": ", link(runUrl(dag.id, latest.dag_run_id), "the last run failed"), ". Its log says why.");
    return element("p", {}, name, ": ", link(runUrl(dag.id, latest.dag_run_id), `a run is ${latest.state}`), ". Its figures appear when its load has ended.");
  });
  const hasRun = found.dags.some((dag) => dag.latest);
  return [hasRun ? "No run has loaded anything yet." : "No run yet: trigger the DAG.", lines];
}

function say(title, lines) {
  found = null;
  for (const id of ["summary", "filters", "scroll"]) $(id).hidden = true;
  $("notes").replaceChildren();
  $("message").hidden = false;
  $("message").replaceChildren(element("h2", {}, title), element("div", {}, lines));
}

function draw() {
  drawRanges();
  if (!found) return;
  const now = Date.now() / 1000;
  const from = now - choices.range;
  const pages = withTasks(pagesOf(found.events), found.dags.flatMap((dag) => dag.tasks));
  if (!pages.size) return void showWithoutRun();
  const entries = [...pages.values()].map((page) => ({ page, state: stateOf(page, now), figures: figuresOf(page, from) }));
  const words = $("search").value.trim();
  const wanted = entries.filter((entry) => (!words || matches(entry, words)) && !($("attention").checked && entry.state.code === "current"));
  // While the table is filled again, the page keeps its height, and with it the place where the viewer is.
  $("scroll").style.minHeight = `${$("scroll").offsetHeight}px`;
  const onFilled = () => void ($("scroll").style.minHeight = "");
  const context = { ...choices, from, now, time: clock(timeZone()), opened, onSort, onFilled };
  for (const id of ["summary", "filters", "scroll"]) $(id).hidden = false;
  $("message").hidden = true;
  $("summary").replaceChildren(...summary(summaryOf(entries), found.access, now));
  $("scroll").replaceChildren(table(sorted(wanted, choices.order, choices.isReversed), context));
  $("shown").textContent = wanted.length === entries.length ? "" : `${wanted.length} of ${entries.length} shown`;
  $("notes").replaceChildren(...notes(context));
}

function showWithoutRun() {
  const kept = found;
  say(...withoutRun());
  found = kept;
}

function notes({ time, now }) {
  const lines = [`Times in ${time.zone}. Read at ${time.full(now)}.`];
  const oldest = found.events.at(-1);
  if (found.isLimited && oldest) lines.push(`Figures go back to ${time.full(Date.parse(oldest.timestamp) / 1000)}: older events are not read.`);
  if (found.unseen) lines.push(`Failed and active tasks of ${count(found.unseen, "DAG")} are not shown.`);
  return [
    element("p", { className: "legend" }, element("i", { className: "covered" }), "covered", element("i", { className: "gap" }), "gap", element("i", { className: "unread" }), "not read"),
    element("p", {}, lines.join(" ")),
  ];
}

function onSort(order) {
  choose({ order, isReversed: order === choices.order && !choices.isReversed });
  // The button was drawn again.
  document.querySelector(`th.${order} button`)?.focus();
}

function drawRanges() {
  if ($("ranges").childElementCount === 1) {
    for (const { label, seconds } of RANGES) {
      const input = element("input", { type: "radio", name: "range", value: seconds, onchange: () => chooseRange(seconds) });
      $("ranges").append(element("label", {}, input, element("span", {}, label)));
    }
  }
  for (const input of $("ranges").querySelectorAll("input")) input.checked = Number(input.value) === choices.range;
}

/** Airflow shows this page in a frame that may not navigate the window around it, so Airflow's own document does. */
function follow(event) {
  const anchor = event.target.closest("a.airflow");
  if (!anchor || window.parent === window || event.button > 1) return;
  event.preventDefault();
  const outer = window.parent.document;
  const copy = outer.createElement("a");
  copy.href = anchor.href;
  if (event.button === 1 || event.ctrlKey || event.metaKey) Object.assign(copy, { target: "_blank", rel: "noopener" });
  outer.body.append(copy);
  copy.click();
  copy.remove();
}

applyTheme();
window.addEventListener("storage", ({ key }) => {
  if (key === "theme") applyTheme();
  if (key === "timezone") draw();
});
document.addEventListener("click", follow);
document.addEventListener("auxclick", follow);
$("refresh").addEventListener("click", read);
$("search").addEventListener("input", draw);
$("attention").addEventListener("change", draw);
if (DAG_ID) $("subtitle").textContent = `What the DAG ${DAG_ID} has covered of each Page and platform, and what is missing.`;
drawRanges();
read();

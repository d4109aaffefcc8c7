/** Reads Airflow's REST API as the viewer: the browser sends their session, and Airflow decides what they may see. */

/** Airflow's own address, with the path of its base URL. */
export const AIRFLOW = new URL("../", document.baseURI);

const COVERAGE_ASSET = "meta_conversations_coverage";
const ACCESS_ASSET = "meta_conversations_access";

const FIRST_EVENTS = 10;
const MOST_PER_REQUEST = 100;
const MOST_REQUESTS = 10;
const MOST_ROWS = 60_000;
const MOST_DAGS = 40;
const RUNS_OF_A_DAG = 5;

const FAILED = ["failed", "upstream_failed"];
const ACTIVE = ["running", "queued", "scheduled", "deferred", "up_for_retry", "up_for_reschedule"];

/** An answer other than success; status 0: no answer. */
export class ApiError extends Error {
  constructor(status, path) {
    super(`HTTP ${status} for ${path}`);
    this.status = status;
  }
}

async function get(path, parameters = {}) {
  const url = new URL(`api/v2/${path}`, AIRFLOW);
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) url.searchParams.append(name, each);
  }
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", headers: { accept: "application/json" } });
  } catch {
    throw new ApiError(0, path);
  }
  if (!response.ok) throw new ApiError(response.status, path);
  return response.json();
}

/** The two assets of the coverage page, undefined where no DAG has them. */
export async function findAssets() {
  const { assets } = await get("assets", { name_pattern: "meta_conversations_", limit: MOST_PER_REQUEST });
  const named = (name) => assets.find((asset) => asset.name === name);
  return { coverage: named(COVERAGE_ASSET), access: named(ACCESS_ASSET) };
}

/** The DAGs with a task that reports coverage. */
export function producersOf(asset) {
  return [...new Set(asset.producing_tasks.map((task) => task.dag_id))].sort();
}

/**
 * Events of an asset, newest first, back to `since`: first a few, then as many as the number of rows allows. `onEvents`
 * receives all events so far after each answer, and whether there are more. `isCancelled` ends reading.
 */
export async function readEvents(asset, dagId, since, onEvents, isCancelled) {
  const events = [];
  const filter = { asset_id: asset.id, order_by: "-timestamp", ...(dagId && { source_dag_id: dagId }) };
  let limit = FIRST_EVENTS;
  for (let request = 0; request < MOST_REQUESTS && limit > 0; request += 1) {
    const answer = await get("assets/events", { ...filter, limit, offset: events.length });
    if (isCancelled()) return;
    // An event that arrives meanwhile moves the others by one.
    const known = new Set(events.map((event) => event.id));
    events.push(...answer.asset_events.filter((event) => !known.has(event.id)));
    const oldest = events.at(-1);
    const isAll = answer.asset_events.length < limit;
    const isOldEnough = oldest && Date.parse(oldest.timestamp) / 1000 < since;
    const rows = events.reduce((sum, event) => sum + (event.extra?.rows?.length ?? 0), 0);
    limit = Math.min(MOST_PER_REQUEST, Math.floor((MOST_ROWS - rows) / Math.max(1, rows / events.length)));
    const isOver = isAll || isOldEnough || limit <= 0 || request === MOST_REQUESTS - 1;
    onEvents(events, isOver && !isAll && !isOldEnough);
    if (isOver) return;
  }
}

/** The newest event of a DAG, for one whose last event is older than those read. */
export async function newestEvent(asset, dagId) {
  const filter = { asset_id: asset.id, source_dag_id: dagId, order_by: "-timestamp", limit: 1 };
  return (await get("assets/events", filter)).asset_events;
}

export async function accessEvents(asset) {
  return (await get("assets/events", { asset_id: asset.id, order_by: "-timestamp", limit: 20 })).asset_events;
}

/**
 * The state of DAGs: whether they are paused, their latest run, and the tasks of Pages that failed or are active. DAGs
 * that the viewer may not see are left out, and so are all beyond the first 40.
 */
export async function readDags(dagIds) {
  const answers = await Promise.allSettled(dagIds.slice(0, MOST_DAGS).map(readDag));
  return answers.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
}

async function readDag(dagId) {
  const path = `dags/${encodeURIComponent(dagId)}`;
  const [dag, { dag_runs: runs }] = await Promise.all([
    get(path),
    get(`${path}/dagRuns`, { order_by: "-start_date", limit: RUNS_OF_A_DAG }),
  ]);
  const started = runs.filter((run) => run.start_date);
  const ended = started.find((run) => FAILED.includes(run.state) || run.state === "success");
  const [failed, active] = await Promise.all([
    ended?.state === "failed" ? tasksOf(path, ended, FAILED) : [],
    started[0] && started[0] !== ended ? tasksOf(path, started[0], ACTIVE) : [],
  ]);
  return { id: dagId, isPaused: dag.is_paused, latest: started[0] ?? null, ended: ended ?? null, tasks: [...active, ...failed] };
}

async function tasksOf(path, run, states) {
  const place = `${path}/dagRuns/${encodeURIComponent(run.dag_run_id)}/taskInstances`;
  const tasks = [];
  for (let request = 0; request < MOST_REQUESTS; request += 1) {
    const parameters = { state: states, limit: MOST_PER_REQUEST, offset: tasks.length };
    const { task_instances: found } = await get(place, parameters);
    tasks.push(...found);
    if (found.length < MOST_PER_REQUEST) break;
  }
  return tasks.map((task) => ({
    label: task.rendered_map_index,
    state: task.state,
    isFailure: FAILED.includes(task.state),
    dag: task.dag_id,
    run: task.dag_run_id,
    task_id: task.task_id,
    map_index: task.map_index,
    at: Date.parse(task.end_date ?? task.start_date ?? run.start_date) / 1000,
  }));
}

/** Addresses in Airflow's UI. */
export const dagUrl = (dag) => new URL(`dags/${encodeURIComponent(dag)}`, AIRFLOW).href;

export const runUrl = (dag, run) => `${dagUrl(dag)}/runs/${encodeURIComponent(run)}`;

export function logUrl({ dag, run, task_id: task, map_index: index }) {
  const mapped = index >= 0 ? `/mapped/${index}` : "";
  return `${runUrl(dag, run)}/tasks/${encodeURIComponent(task)}${mapped}`;
}

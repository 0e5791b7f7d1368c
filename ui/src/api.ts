/** What the API below `slipway/api` answers, and how it is asked. Times are UTC, durations seconds, rates a second. */

export interface RunAnswer {
  id: number;
  deployment: string;
  rehearsal: boolean;
  revision_id: string | null;
  job: string;
  dag_id: string;
  dag_run_id: string;
  state: string;
  reason: string;
  started_at: string;
  ended_at: string | null;
  verdict: string | null;
  verdict_reason: string;
}

export interface DeploymentAnswer {
  name: string;
  rehearsal: boolean;
  current: { revision_id: string; run_id: number; endpoint: string; since: string; state: string } | null;
  last_run: RunAnswer;
  last_judged: RunAnswer | null;
}

export interface ServingAnswer {
  model_name: string;
  hosts: { name: string; address: string; gpus: number }[];
  docs: string;
  dashboard: string | null;
}

export interface PeakAnswer {
  run_id: number;
  started_at: string;
  rehearsal: boolean;
  output_tokens_per_s: number;
}

export interface CardAnswer {
  deployment: DeploymentAnswer;
  serving: ServingAnswer | null;
  peaks: PeakAnswer[];
}

export interface OverviewAnswer {
  cards: CardAnswer[];
}

export interface StepAnswer {
  id: number;
  revision_id: string | null;
  job: string;
  state: string;
  started_at: string;
  verdict: string | null;
  verdict_reason: string;
  rehearsal: boolean;
  versions: Record<string, string>;
  ready: Record<string, unknown> | null;
}

export type Metric = "ttft" | "itl" | "tpot" | "e2e";
export type Percentile = "p50" | "p95" | "p99";
export type Latency = `${Metric}_${Percentile}`;

export type PointAnswer = {
  run_id: number;
  revision_id: string;
  users: number;
  rate: number;
  shape: string;
  started_at: string;
  rehearsal: boolean;
  validity: Validity;
  requests_per_s: number;
  output_tokens_per_s: number;
} & Record<Latency, number | null>;

/** Rows as the API gives thousands of them: the values at one place in each column are one row's. */
export type Columns<Row> = { [Name in keyof Row]: Row[Name][] };

export function rows<Row extends object>(columns: Columns<Row>): Row[] {
  const [names, values] = [Object.keys(columns), Object.values<unknown[]>(columns)];
  return (values[0] ?? []).map((_, place) => Object.fromEntries(names.map((name, at) => [name, values[at]?.[place]])) as Row);
}

/** A figure that is far from the median (`usual`) of its revision at its load. */
export interface OutlierAnswer {
  run_id: number;
  users: number;
  rate: number;
  shape: string;
  figure: string;
  value: number;
  usual: number;
}

export interface TrendsAnswer {
  steps: StepAnswer[];
  points: Columns<PointAnswer>;
  outliers: OutlierAnswer[];
}

export interface PointsAnswer {
  points: Columns<PointAnswer>;
}

export interface DifferenceAnswer {
  figure: string;
  users: number;
  rate: number;
  shape: string;
  percent: number;
  better: boolean;
  /** A smaller difference is noise; null where the history is too short to say. */
  limit_percent: number | null;
}

/** Every run but the first, held against the first. */
export interface ComparisonAnswer {
  runs: { run_id: number; unlike: string[]; differences: DifferenceAnswer[] }[];
}

export interface RevisionAnswer {
  id: string;
  created_at: string;
  rehearsal: boolean;
  workload: string;
  lock_digest: string;
  changes: { key: string; before: unknown; after: unknown }[] | null;
  spec: Record<string, unknown>;
}

export interface RevisionsAnswer {
  revisions: RevisionAnswer[];
  current: string | null;
  baseline: string | null;
}

/** ready; or why not: forbidden, paused, absent. */
export type Action = "ready" | "forbidden" | "paused" | "absent";

export interface ActionsAnswer {
  benchmark: Action;
  deploy: Action;
}

export type Validity = "valid" | "suspect" | "invalid";

export interface Distribution {
  count: number;
  mean: number;
  minimum: number;
  p50: number;
  p90: number;
  p95: number;
  p99: number;
  maximum: number;
}

export type CellAnswer = {
  id: number;
  rehearsal: boolean;
  revision_id: string;
  try_number: number;
  users: number;
  rate: number;
  shape: string;
  spawn_rate: number;
  processes: number;
  started_at: string;
  window_s: number;
  requests: number;
  errors: Record<string, number>;
  prompt_tokens: number;
  output_tokens: number;
  requests_per_s: number;
  output_tokens_per_s: number;
  validity: Validity;
  reasons: string[];
  client: Record<string, number>;
  server: Record<string, number>;
  /** Value i of `counts` lies from 10^((first + i) / 32) seconds up to 10^((first + i + 1) / 32). */
  histograms: Partial<Record<Metric, { first: number; counts: number[] }>>;
  scheduled: Record<string, Distribution>;
  goodput: { limits: Record<string, number>; requests: number; share: number; requests_per_s: number } | null;
  gpu: Record<string, number>;
  /** `server` and `gpus` over time, as columns; `at_s` is seconds since the window began. */
  series: Record<string, Record<string, number[]>>;
  /** Where its files lie among those of the run. */
  folder: string;
} & Record<Metric, Distribution | null>;

export interface StageAnswer {
  name: string;
  map_index: number;
  try_number: number;
  state: string;
  started_at: string;
  ended_at: string | null;
  seconds: number | null;
  actions: number;
  detail: Record<string, unknown>;
  error: string;
}

export interface SmokeAnswer {
  name: string;
  passed: boolean;
  detail: string;
  seconds: number;
  transcript: Record<string, unknown>;
}

/** A server that was started again unasked; `cause` is an id, `reason` says how it ended. */
export interface RestartAnswer {
  host: string;
  role: string;
  at: string;
  cause: string;
  reason: string;
}

export interface WholeRunAnswer {
  run: RunAnswer;
  stages: StageAnswer[];
  smoke: SmokeAnswer[];
  cells: CellAnswer[];
  restarts: RestartAnswer[];
  conf: Record<string, unknown>;
  snapshot: Record<string, unknown>;
}

export interface FileAnswer {
  name: string;
  bytes: number;
}

/** What a run left beside its figures; empty where the machine that answers does not have it. */
export interface FilesAnswer {
  files: FileAnswer[];
}

/** The API said no: `status` is HTTP's, 0 where nothing answered. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** One answer, by its path below `slipway/api/`. */
export async function ask<T>(path: string, signal: AbortSignal): Promise<T> {
  const answer = await fetch(new URL(`slipway/api/${path}`, document.baseURI), { signal }).catch((error: unknown) => {
    throw signal.aborted ? error : new Refused(0, String(error));
  });
  if (!answer.ok) {
    throw new Refused(answer.status, await told(answer));
  }
  return (await answer.json()) as T;
}

/** Starts a DAG by Airflow's own API, as the viewer and with the viewer's rights; answers the id of the DAG run. */
export async function start(dagId: string, conf: Record<string, unknown>): Promise<string> {
  const address = new URL(`api/v2/dags/${encodeURIComponent(dagId)}/dagRuns`, document.baseURI);
  const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ logical_date: null, conf }) };
  const answer = await fetch(address, asked).catch((error: unknown) => {
    throw new Refused(0, String(error));
  });
  if (!answer.ok) throw new Refused(answer.status, await told(answer));
  const { dag_run_id } = (await answer.json()) as { dag_run_id: string };
  return dag_run_id;
}

async function told(answer: Response): Promise<string> {
  const body: unknown = await answer.json().catch(() => null);
  const detail = body && typeof body === "object" && "detail" in body ? body.detail : null;
  return typeof detail === "string" ? detail : answer.statusText;
}

/** A deployment's answers, as what the charts draw. Pure. */
import type { Latency, OutlierAnswer, PointAnswer, StepAnswer, TrendsAnswer } from "./api";
import type { Bar } from "./charts/Stack";
import type { CurvePoint } from "./charts/Curve";
import type { TrendData } from "./charts/Trend";
import { type Load, loadKey, loads } from "./load";

export type Drawn = "output_tokens_per_s" | Latency;

/** The newest cell of each load that is not invalid. */
export function curvePoints(points: PointAnswer[], latency: Latency): CurvePoint[] {
  const newest = new Map<string, PointAnswer>();
  for (const point of points) {
    const known = newest.get(loadKey(point));
    if (point.validity !== "invalid" && (!known || known.started_at < point.started_at)) newest.set(loadKey(point), point);
  }
  return [...newest.values()].flatMap((point) => {
    const y = point[latency];
    return y === null ? [] : [{ users: point.users, rate: point.rate, shape: point.shape, x: point.output_tokens_per_s, y }];
  });
}

const epoch = (iso: string) => new Date(iso).getTime() / 1000;

/** The answer, its cells as rows. */
export type History = Omit<TrendsAnswer, "points"> & { points: PointAnswer[] };

/** A line a load level, over the runs that measured. */
export function trendData({ steps, points, outliers }: History, drawn: Drawn, name: (load: Load) => string): TrendData {
  const byRun = new Map<number, Map<string, PointAnswer>>();
  for (const point of points) {
    const cells = byRun.get(point.run_id) ?? new Map<string, PointAnswer>();
    byRun.set(point.run_id, cells.set(loadKey(point), point));
  }
  const measured = steps.filter((step) => byRun.has(step.id));
  const values = (load: Load, invalid: boolean) =>
    measured.map((step) => {
      const point = byRun.get(step.id)?.get(loadKey(load));
      return point && (point.validity === "invalid") === invalid ? point[drawn] : null;
    });
  const began = new Map(measured.map((step) => [step.id, epoch(step.started_at)]));
  const apart = ({ run_id, users, rate, shape, value, usual }: OutlierAnswer) => ({
    time: began.get(run_id) ?? 0, run: run_id, load: name({ users, rate, shape }), value, usual,
  });
  return {
    times: measured.map((step) => epoch(step.started_at)),
    lines: loads(points).map((load) => ({ name: name(load), values: values(load, false), outside: values(load, true) })),
    verdicts: measured.flatMap((step) => (step.verdict ? [{ time: epoch(step.started_at), verdict: step.verdict }] : [])),
    changes: measured.flatMap((step, place) => changed(measured[place - 1], step)),
    outliers: outliers.filter((each) => each.figure === drawn && began.has(each.run_id)).map(apart),
  };
}

/** What is another revision, or another version of what serves, than in the run before. */
function changed(before: StepAnswer | undefined, step: StepAnswer): { time: number; name: string }[] {
  if (!before) return [];
  const versions = Object.entries(step.versions).filter(([program, version]) => (before.versions[program] ?? version) !== version);
  const names = versions.map(([program, version]) => `${program} ${version}`);
  if (step.revision_id !== before.revision_id) names.unshift(step.revision_id ?? "");
  return names.length ? [{ time: epoch(step.started_at), name: names.join(", ") }] : [];
}

/** A bar for each run that started the server; by phase where the stage `ready` told them. */
export function readyBars(steps: StepAnswer[], title: (step: StepAnswer) => string, whole: string): Bar[] {
  return steps.flatMap((step) => {
    const seconds = step.ready?.["time_to_ready_s"];
    if (typeof seconds !== "number") return [];
    return [{ name: String(step.id), title: title(step), parts: phases(step.ready?.["phases"], seconds) ?? { [whole]: seconds } }];
  });
}

/** The phases of one start, and what of it is in none of them. */
function phases(found: unknown, seconds: number): Record<string, number> | null {
  const known = Array.isArray(found) ? found.filter(isPhase) : [];
  if (known.length === 0) return null;
  const parts: Record<string, number> = {};
  for (const phase of known) parts[phase.name] = (parts[phase.name] ?? 0) + phase.seconds;
  const rest = seconds - Object.values(parts).reduce((sum, part) => sum + part, 0);
  return rest > 0.01 * seconds ? { ...parts, "…": rest } : parts;
}

const isPhase = (value: unknown): value is { name: string; seconds: number } =>
  value !== null && typeof value === "object" && "name" in value && "seconds" in value && typeof value.seconds === "number";

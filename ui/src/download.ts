/** A run as a file. */
import type { CellAnswer, Metric, WholeRunAnswer } from "./api";

const PLAIN = [
  "users", "rate", "shape", "validity", "started_at", "window_s", "requests", "prompt_tokens", "output_tokens", "requests_per_s",
  "output_tokens_per_s", "spawn_rate", "processes", "try_number", "revision_id",
] as const;
const FIGURES = ["count", "mean", "minimum", "p50", "p90", "p95", "p99", "maximum"] as const;
const METRICS: Metric[] = ["ttft", "itl", "tpot", "e2e"];

/** A line a cell. Latencies are seconds, rates a second. */
export function csv({ run, cells }: WholeRunAnswer): string {
  const latencies = METRICS.flatMap((metric) => FIGURES.map((figure) => [metric, figure] as const));
  const head = ["run_id", "deployment", "rehearsal", ...PLAIN, "errors", "reasons", ...latencies.map(([metric, figure]) => `${metric}_${figure}`)];
  const line = (cell: CellAnswer) => [
    run.id, run.deployment, run.rehearsal, ...PLAIN.map((name) => cell[name]),
    Object.values(cell.errors).reduce((sum, count) => sum + count, 0), cell.reasons.join("; "),
    ...latencies.map(([metric, figure]) => cell[metric]?.[figure] ?? ""),
  ];
  return [head, ...cells.map(line)].map((values) => values.map(quoted).join(",")).join("\r\n") + "\r\n";
}

const quoted = (value: unknown) => {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Hand a file to the browser. */
export function save(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = Object.assign(document.createElement("a"), { href: url, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

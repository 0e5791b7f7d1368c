import { Box, Text } from "@chakra-ui/react";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import styles from "uplot/dist/uPlot.min.css?inline";
import { colorOf, dashOf, verdictMark } from "../colors";
import { useFormat } from "../format";
import { DataTable, Unfold } from "../parts";
import { useDark, useZone } from "../surroundings";
import { useWords } from "../words";
import { useWidth } from "./useWidth";

export interface TrendLine {
  name: string;
  values: (number | null)[];
  /** Values that no line joins: of invalid cells. */
  outside: (number | null)[];
}

export interface TrendData {
  /** Seconds since the epoch, ascending. */
  times: number[];
  lines: TrendLine[];
  verdicts: { time: number; verdict: string }[];
  /** When another revision was run, or another version served. */
  changes: { time: number; name: string }[];
  outliers: { time: number; run: number; load: string; value: number; usual: number }[];
}

const HEIGHT = 230;

/** Lines over time on a canvas; thousands of points are no burden. */
export function Trend({ data, title, unit }: { data: TrendData; title: string; unit: (value: number) => string }) {
  const { ref, width } = useWidth<HTMLDivElement>();
  const ground = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const zone = useZone();
  const say = useWords();
  useEffect(() => {
    if (!ground.current || width === 0) return;
    const plot = new uPlot(options(data, width, dark, zone, unit), columns(data), ground.current);
    plot.root.querySelector("table")?.setAttribute("aria-label", title);
    return () => plot.destroy();
  }, [data, title, width, dark, zone, unit]);
  return (
    <Box ref={ref}>
      <style>{styles}</style>
      <Text fontSize="sm" fontWeight="medium">{title}</Text>
      <div aria-label={title} ref={ground} role="img" style={{ minHeight: HEIGHT }} />
      <Outliers data={data} unit={unit} />
      <Unfold label={say("asTable")}><TrendTable data={data} title={title} unit={unit} /></Unfold>
    </Box>
  );
}

function Outliers({ data: { outliers }, unit }: { data: TrendData; unit: (value: number) => string }) {
  const say = useWords();
  if (outliers.length === 0) return null;
  const told = outliers.map(({ run, load, value, usual }) =>
    say("outlier", { run: say("runN", { id: run }), load, value: unit(value), usual: unit(usual) }),
  );
  return <Text color="fg.muted" fontSize="xs">{say("outliers")}: {told.join("; ")}</Text>;
}

function TrendTable({ data, title, unit }: { data: TrendData; title: string; unit: (value: number) => string }) {
  const say = useWords();
  const { time } = useFormat();
  const written = (line: TrendLine, place: number) => {
    const [value, outside] = [line.values[place] ?? null, line.outside[place] ?? null];
    if (value !== null) return unit(value);
    return outside === null ? "–" : `${unit(outside)} (${say("invalid")})`;
  };
  return (
    <DataTable
      columns={[
        { head: say("began"), cell: (place) => time(new Date((data.times[place] ?? 0) * 1000).toISOString()) },
        ...data.lines.map((line) => ({ head: line.name, figure: true, cell: (place: number) => written(line, place) })),
        { head: say("changes"), cell: (place) => data.changes.find(({ time: at }) => at === data.times[place])?.name ?? "" },
      ]}
      label={title} rowKey={(place) => place} rows={[...data.times.keys()].reverse()}
    />
  );
}

const columns = (data: TrendData): uPlot.AlignedData => [data.times, ...data.lines.map((line) => line.values)];

function options(data: TrendData, width: number, dark: boolean, zone: string, unit: (value: number) => string): uPlot.Options {
  const ink = dark ? "#c9d1dc" : "#374151";
  const grid = { stroke: dark ? "#ffffff1c" : "#00000014", width: 1 };
  const axis = { stroke: ink, grid, ticks: grid, font: "11px system-ui, sans-serif" };
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: "slipway" } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    scales: { y: { range: (_, _low, high) => [-0.08 * top(data, high), 1.1 * top(data, high)] } },
    axes: [axis, { ...axis, size: 72, values: (_, ticks) => ticks.map(unit) }],
    series: [{}, ...data.lines.map((line, place) => series(line, place, dark, unit))],
    legend: { show: true },
    hooks: { draw: [(plot) => drawMarks(plot, data, dark, ink)] },
  };
}

function top(data: TrendData, high: number | null): number {
  const outside = data.lines.flatMap((line) => line.outside).filter((value) => value !== null);
  return outside.reduce((highest, value) => Math.max(highest, value), high ?? 0) || 1;
}

function series(line: TrendLine, place: number, dark: boolean, unit: (value: number) => string): uPlot.Series {
  return {
    label: line.name,
    stroke: colorOf(place, dark),
    dash: dashOf(place),
    width: 1.5,
    spanGaps: true,
    points: { show: line.values.length < 200, size: 5 },
    value: (_, value) => (value === null ? "–" : unit(value)),
  };
}

function drawMarks(plot: uPlot, data: TrendData, dark: boolean, ink: string): void {
  plot.ctx.save();
  drawChanges(plot, data, ink);
  drawVerdicts(plot, data, dark);
  drawOutside(plot, data, dark);
  drawOutliers(plot, data, ink);
  plot.ctx.restore();
}

const inFont = (pixels: number) => `${pixels * devicePixelRatio}px system-ui, sans-serif`;

/** A dashed line with its name along it. */
function drawChanges({ ctx, bbox, valToPos }: uPlot, data: TrendData, ink: string): void {
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.font = inFont(9);
  ctx.textAlign = "right";
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const { time, name } of data.changes) {
    const x = valToPos(time, "x", true);
    ctx.globalAlpha = 0.45;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.globalAlpha = 0.8;
    ctx.save();
    ctx.translate(x - 3 * devicePixelRatio, bbox.top + 2 * devicePixelRatio);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText(name, 0, 0);
    ctx.restore();
  }
  ctx.globalAlpha = 1;
  ctx.setLineDash([]);
}

function drawVerdicts({ ctx, bbox, valToPos }: uPlot, data: TrendData, dark: boolean): void {
  ctx.font = inFont(9);
  ctx.textAlign = "center";
  for (const { time, verdict } of data.verdicts) {
    const { shape, color } = verdictMark(verdict, dark);
    ctx.fillStyle = color;
    ctx.fillText(shape, valToPos(time, "x", true), bbox.top + bbox.height - 3 * devicePixelRatio);
  }
}

function drawOutside({ ctx, valToPos }: uPlot, data: TrendData, dark: boolean): void {
  ctx.font = inFont(13);
  data.lines.forEach((line, place) => {
    ctx.fillStyle = colorOf(place, dark);
    line.outside.forEach((value, at) => {
      const time = data.times[at];
      if (value !== null && time !== undefined) {
        ctx.fillText("×", valToPos(time, "x", true), valToPos(value, "y", true) + 4 * devicePixelRatio);
      }
    });
  });
}

/** A ring around each, and once the number of its run, above the highest. */
function drawOutliers({ ctx, valToPos }: uPlot, data: TrendData, ink: string): void {
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.font = inFont(10);
  ctx.textAlign = "center";
  ctx.lineWidth = 1.5 * devicePixelRatio;
  const highest = new Map<number, [number, number]>();
  for (const { time, value, run } of data.outliers) {
    const [x, y] = [valToPos(time, "x", true), valToPos(value, "y", true)];
    ctx.beginPath();
    ctx.arc(x, y, 5 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
    highest.set(run, [x, Math.min(y, highest.get(run)?.[1] ?? y)]);
  }
  for (const [run, [x, y]] of highest) ctx.fillText(String(run), x, y - 8 * devicePixelRatio);
}

import { Box, Text } from "@chakra-ui/react";
import type { CellAnswer, Metric } from "../api";
import { colorOf, dashOf } from "../colors";
import { useFormat } from "../format";
import { useLoadName } from "../load";
import { useDark } from "../surroundings";
import { useWords } from "../words";
import { Legend } from "./Curve";
import { scale } from "./scale";
import { useWidth } from "./useWidth";

/** Buckets between a time and ten times that, as `results/histogram.py` counts them. */
const PER_DECADE = 32;
const HEIGHT = 170;
const LEFT = 72;
const BOTTOM = 24;

interface Shape {
  name: string;
  /** Bucket by bucket: its number, and its share of all values. */
  steps: [number, number][];
}

/** How one metric is spread at every load, over a logarithmic scale of time. Nothing where no cell has a histogram. */
export function Histogram({ cells, metric }: { cells: CellAnswer[]; metric: Metric }) {
  const { ref, width } = useWidth<HTMLDivElement>();
  const say = useWords();
  const loadName = useLoadName();
  const shapes = cells.flatMap((cell) => shape(cell, metric, loadName(cell)));
  if (shapes.length === 0) return null;
  return (
    <Box mb={4} ref={ref}>
      <Text fontSize="sm" fontWeight="medium">{say(metric)}</Text>
      {width > 0 ? <Shapes label={say(metric)} shapes={shapes} width={width} /> : <Box height={`${HEIGHT}px`} />}
      <Legend names={shapes.map(({ name }) => name)} />
    </Box>
  );
}

function shape(cell: CellAnswer, metric: Metric, name: string): Shape[] {
  const found = cell.histograms[metric];
  if (!found) return [];
  const all = found.counts.reduce((sum, count) => sum + count, 0) || 1;
  return [{ name, steps: found.counts.map((count, place) => [found.first + place, count / all]) }];
}

function Shapes({ shapes, label, width }: { shapes: Shape[]; label: string; width: number }) {
  const dark = useDark();
  const { seconds, share } = useFormat();
  const buckets = shapes.flatMap(({ steps }) => steps.map(([bucket]) => bucket));
  const [low, high] = [Math.min(...buckets), Math.max(...buckets) + 1];
  const across = (bucket: number) => LEFT + ((bucket - low) / (high - low)) * (width - LEFT - 16);
  const up = scale(Math.max(...shapes.flatMap(({ steps }) => steps.map(([, part]) => part))), HEIGHT - BOTTOM, 8, 3);
  return (
    <svg aria-label={label} height={HEIGHT} role="img" width={width}>
      <g fill="currentColor" opacity={0.8}>
        {up.ticks.map((tick) => (
          <g key={tick}>
            <line opacity={0.2} stroke="currentColor" x1={LEFT} x2={width - 16} y1={up.at(tick)} y2={up.at(tick)} />
            <text textAnchor="end" x={LEFT - 6} y={up.at(tick) + 4}>{share(tick)}</text>
          </g>
        ))}
        {times(low, high).map((time) => (
          <text key={time} textAnchor="middle" x={across(Math.log10(time) * PER_DECADE)} y={HEIGHT - 6}>{seconds(time)}</text>
        ))}
      </g>
      {shapes.map(({ name, steps }, place) => (
        <polyline
          fill="none" key={name} stroke={colorOf(place, dark)} strokeDasharray={dashOf(place).join(" ")} strokeWidth={2}
          points={steps.flatMap(([bucket, part]) => [`${across(bucket)},${up.at(part)}`, `${across(bucket + 1)},${up.at(part)}`]).join(" ")}
        />
      ))}
    </svg>
  );
}

/** 1, 2 and 5 times each power of ten between two buckets. */
function times(low: number, high: number): number[] {
  const powers = Array.from({ length: 12 }, (_, place) => place - 7);
  const all = powers.flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  return all.filter((time) => Math.log10(time) * PER_DECADE >= low && Math.log10(time) * PER_DECADE <= high);
}

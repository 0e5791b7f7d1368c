import { Box, Text } from "@chakra-ui/react";
import type { CellAnswer, Metric } from "../api";
import { colorOf } from "../colors";
import { useFormat } from "../format";
import { useLoadName } from "../load";
import { useDark } from "../surroundings";
import { useWords } from "../words";
import { scale } from "./scale";
import { useWidth } from "./useWidth";

const ROW = 26;
const LEFT = 84;

/** One metric at every load: a strip from the smallest value to the largest. Nothing where no cell has it. */
export function Spread({ cells, metric }: { cells: CellAnswer[]; metric: Metric }) {
  const { ref, width } = useWidth<HTMLDivElement>();
  const say = useWords();
  const with_ = cells.filter((cell) => cell[metric]);
  if (with_.length === 0) return null;
  return (
    <Box mb={4} ref={ref}>
      <Text fontSize="sm" fontWeight="medium">{say(metric)}</Text>
      {width > 0 ? <Strips cells={with_} metric={metric} width={width} /> : null}
    </Box>
  );
}

function Strips({ cells, metric, width }: { cells: CellAnswer[]; metric: Metric; width: number }) {
  const say = useWords();
  const loadName = useLoadName();
  const { seconds } = useFormat();
  const across = scale(Math.max(...cells.map((cell) => cell[metric]?.maximum ?? 0)), LEFT, width - 40);
  const height = cells.length * ROW + 26;
  return (
    <svg aria-label={say(metric)} height={height} role="img" width={width}>
      <g fill="currentColor" opacity={0.8}>
        {across.ticks.map((tick) => (
          <g key={tick}>
            <line opacity={0.2} stroke="currentColor" x1={across.at(tick)} x2={across.at(tick)} y1={0} y2={height - 22} />
            <text textAnchor="middle" x={across.at(tick)} y={height - 6}>{seconds(tick)}</text>
          </g>
        ))}
        {cells.map((cell, place) => (
          <text key={cell.id} textAnchor="end" x={LEFT - 8} y={place * ROW + ROW / 2 + 4}>{loadName(cell)}</text>
        ))}
      </g>
      {cells.map((cell, place) => <Strip across={across.at} cell={cell} key={cell.id} metric={metric} y={place * ROW + ROW / 2} />)}
    </svg>
  );
}

function Strip({ cell, metric, across, y }: { cell: CellAnswer; metric: Metric; across: (value: number) => number; y: number }) {
  const color = colorOf(0, useDark());
  const late = colorOf(1, useDark());
  const loadName = useLoadName();
  const { seconds } = useFormat();
  const found = cell[metric];
  if (!found) return null;
  const told = (["minimum", "p50", "p90", "p95", "p99", "maximum"] as const).map((name) => `${name} ${seconds(found[name])}`);
  return (
    <g>
      <title>{`${loadName(cell)}: ${told.join(", ")}`}</title>
      <line stroke={color} strokeWidth={2} x1={across(found.minimum)} x2={across(found.maximum)} y1={y} y2={y} />
      <rect fill={color} height={12} opacity={0.55} width={Math.max(1, across(found.p95) - across(found.p50))} x={across(found.p50)} y={y - 6} />
      <line stroke={color} strokeWidth={3} x1={across(found.p50)} x2={across(found.p50)} y1={y - 9} y2={y + 9} />
      <line stroke={late} strokeWidth={3} x1={across(found.p99)} x2={across(found.p99)} y1={y - 9} y2={y + 9} />
    </g>
  );
}

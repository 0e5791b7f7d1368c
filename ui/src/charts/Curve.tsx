import { Box, HStack, Text } from "@chakra-ui/react";
import { colorOf, dashOf } from "../colors";
import { useFormat } from "../format";
import { byLoad, type Load, loadKey, useLoadName } from "../load";
import { DataTable, Unfold } from "../parts";
import { useDark } from "../surroundings";
import { useWords } from "../words";
import { scale } from "./scale";
import { useWidth } from "./useWidth";

export interface CurvePoint extends Load {
  /** Output tokens a second. */
  x: number;
  /** Seconds. */
  y: number;
}

export interface CurveLine {
  name: string;
  points: CurvePoint[];
}

const HEIGHT = 320;
const LEFT = 72;
const BOTTOM = 46;

/** Latency (upwards) against throughput (to the right): a line for each revision or run, in the order of the load. */
export function Curve({ lines, latency }: { lines: CurveLine[]; latency: string }) {
  const { ref, width } = useWidth<HTMLDivElement>();
  const say = useWords();
  const drawn = lines.map((line) => ({ ...line, points: [...line.points].sort(byLoad) }));
  return (
    <Box ref={ref}>
      {width > 0 ? <Drawing latency={latency} lines={drawn} width={width} /> : <Box height={`${HEIGHT}px`} />}
      <Legend names={lines.map((line) => line.name)} />
      <Unfold label={say("asTable")}><CurveTable latency={latency} lines={drawn} /></Unfold>
    </Box>
  );
}

function Drawing({ lines, latency, width }: { lines: CurveLine[]; latency: string; width: number }) {
  const say = useWords();
  const { number, seconds } = useFormat();
  const points = lines.flatMap((line) => line.points);
  const across = scale(Math.max(...points.map((point) => point.x), 0), LEFT, width - 16);
  const up = scale(Math.max(...points.map((point) => point.y), 0), HEIGHT - BOTTOM, 12);
  return (
    <svg aria-label={`${say("curve")}: ${latency}`} height={HEIGHT} role="img" width={width}>
      <g fill="currentColor" opacity={0.8}>
        {up.ticks.map((tick) => (
          <g key={tick}>
            <line opacity={0.2} stroke="currentColor" x1={LEFT} x2={width - 16} y1={up.at(tick)} y2={up.at(tick)} />
            <text textAnchor="end" x={LEFT - 6} y={up.at(tick) + 4}>{seconds(tick)}</text>
          </g>
        ))}
        {across.ticks.map((tick) => (
          <text key={tick} textAnchor="middle" x={across.at(tick)} y={HEIGHT - BOTTOM + 16}>{number(tick)}</text>
        ))}
        <text textAnchor="end" x={width - 16} y={HEIGHT - 8}>{say("tokenRate")}</text>
        <text x={LEFT + 6} y={22}>{latency}</text>
      </g>
      {lines.map((line, place) => <Line across={across.at} key={line.name} line={line} place={place} up={up.at} />)}
    </svg>
  );
}

function Line({ line, place, across, up }: {
  line: CurveLine; place: number; across: (value: number) => number; up: (value: number) => number;
}) {
  const color = colorOf(place, useDark());
  const loadName = useLoadName();
  const { number, rate, seconds } = useFormat();
  return (
    <g>
      <polyline
        fill="none" points={line.points.map((point) => `${across(point.x)},${up(point.y)}`).join(" ")}
        stroke={color} strokeDasharray={dashOf(place).join(" ")} strokeWidth={2}
      />
      {line.points.map((point) => (
        <g key={loadKey(point)}>
          <circle cx={across(point.x)} cy={up(point.y)} fill={color} r={5}>
            <title>{`${line.name}, ${loadName(point)}: ${rate(point.x, "tok/s")}, ${seconds(point.y)}`}</title>
          </circle>
          <text fill={color} fontWeight={600} x={across(point.x) - 4} y={up(point.y) - 9} textAnchor="end">{point.users || `${number(point.rate)}/s`}</text>
        </g>
      ))}
    </g>
  );
}

export function Legend({ names }: { names: string[] }) {
  const dark = useDark();
  return (
    <HStack flexWrap="wrap" fontSize="sm" gap={4} mt={1}>
      {names.map((name, place) => (
        <HStack gap={2} key={name}>
          <svg aria-hidden height={8} width={28}>
            <line stroke={colorOf(place, dark)} strokeDasharray={dashOf(place).join(" ")} strokeWidth={3} x1={0} x2={28} y1={4} y2={4} />
          </svg>
          <Text as="span">{name}</Text>
        </HStack>
      ))}
    </HStack>
  );
}

function CurveTable({ lines, latency }: { lines: CurveLine[]; latency: string }) {
  const say = useWords();
  const loadName = useLoadName();
  const { number, seconds } = useFormat();
  const rows = lines.flatMap((line) => line.points.map((point) => ({ ...point, name: line.name })));
  return (
    <DataTable
      columns={[
        { head: say("revision"), cell: (row) => row.name },
        { head: say("load"), cell: (row) => loadName(row), figure: true },
        { head: say("tokenRate"), cell: (row) => number(row.x), figure: true },
        { head: latency, cell: (row) => seconds(row.y), figure: true },
      ]}
      label={say("curve")} rowKey={(_, place) => place} rows={rows}
    />
  );
}

import { Box, Text } from "@chakra-ui/react";
import { colorOf } from "../colors";
import { useFormat } from "../format";
import { useDark } from "../surroundings";
import { scale } from "./scale";
import { useWidth } from "./useWidth";

const HEIGHT = 120;
const LEFT = 64;
const BOTTOM = 22;

/** One figure through one cell, over the seconds since its window began. */
export function Through({ title, at, values, unit }: { title: string; at: number[]; values: number[]; unit: (value: number) => string }) {
  const { ref, width } = useWidth<HTMLDivElement>();
  return (
    <Box ref={ref}>
      <Text fontSize="sm" fontWeight="medium">{title}</Text>
      {width > 0 ? <Drawing at={at} title={title} unit={unit} values={values} width={width} /> : <Box height={`${HEIGHT}px`} />}
    </Box>
  );
}

function Drawing({ title, at, values, unit, width }: { title: string; at: number[]; values: number[]; unit: (value: number) => string; width: number }) {
  const color = colorOf(0, useDark());
  const { seconds } = useFormat();
  const across = scale(Math.max(...at), LEFT, width - 40, 4);
  const up = scale(Math.max(...values), HEIGHT - BOTTOM, 8, 2);
  const points = values.map((value, place) => [across.at(at[place] ?? 0), up.at(value)] as const);
  const label = `${title}: ${unit(Math.min(...values))} – ${unit(Math.max(...values))}`;
  return (
    <svg aria-label={label} height={HEIGHT} role="img" width={width}>
      <title>{label}</title>
      <g fill="currentColor" opacity={0.8}>
        {up.ticks.map((tick) => (
          <g key={tick}>
            <line opacity={0.2} stroke="currentColor" x1={LEFT} x2={width - 40} y1={up.at(tick)} y2={up.at(tick)} />
            <text textAnchor="end" x={LEFT - 6} y={up.at(tick) + 4}>{unit(tick)}</text>
          </g>
        ))}
        {across.ticks.map((tick) => <text key={tick} textAnchor="middle" x={across.at(tick)} y={HEIGHT - 6}>{seconds(tick)}</text>)}
      </g>
      <polyline fill="none" points={points.map((point) => point.join(",")).join(" ")} stroke={color} strokeWidth={2} />
      {points.map(([x, y], place) => <circle cx={x} cy={y} fill={color} key={place} r={2}><title>{`${seconds(at[place] ?? 0)}: ${unit(values[place] ?? 0)}`}</title></circle>)}
    </svg>
  );
}

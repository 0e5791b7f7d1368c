import { Box } from "@chakra-ui/react";
import { colorOf } from "../colors";
import { useFormat } from "../format";
import { DataTable, Unfold } from "../parts";
import { useDark } from "../surroundings";
import { useWords } from "../words";
import { Legend } from "./Curve";
import { scale } from "./scale";
import { useWidth } from "./useWidth";

export interface Bar {
  name: string;
  title: string;
  /** Seconds, by phase. */
  parts: Record<string, number>;
}

const HEIGHT = 200;
const LEFT = 72;
const BOTTOM = 28;

/** A bar a start of the server, its phases on top of each other where they are known. */
export function Stack({ bars, label }: { bars: Bar[]; label: string }) {
  const { ref, width } = useWidth<HTMLDivElement>();
  const say = useWords();
  const phases = [...new Set(bars.flatMap((bar) => Object.keys(bar.parts)))];
  return (
    <Box ref={ref}>
      {width > 0 ? <Drawing bars={bars} label={label} phases={phases} width={width} /> : <Box height={`${HEIGHT}px`} />}
      <Legend names={phases} />
      <Unfold label={say("asTable")}><StackTable bars={bars} label={label} phases={phases} /></Unfold>
    </Box>
  );
}

const total = (bar: Bar) => Object.values(bar.parts).reduce((sum, part) => sum + part, 0);

function Drawing({ bars, phases, label, width }: { bars: Bar[]; phases: string[]; label: string; width: number }) {
  const dark = useDark();
  const { seconds } = useFormat();
  const up = scale(Math.max(...bars.map(total)), HEIGHT - BOTTOM, 10, 4);
  const step = (width - LEFT - 16) / bars.length;
  const thick = Math.max(1, Math.min(36, step * 0.7));
  return (
    <svg aria-label={label} height={HEIGHT} role="img" width={width}>
      <g fill="currentColor" opacity={0.8}>
        {up.ticks.map((tick) => (
          <g key={tick}>
            <line opacity={0.2} stroke="currentColor" x1={LEFT} x2={width - 16} y1={up.at(tick)} y2={up.at(tick)} />
            <text textAnchor="end" x={LEFT - 6} y={up.at(tick) + 4}>{seconds(tick)}</text>
          </g>
        ))}
        {bars.map((bar, place) =>
          place % Math.ceil(bars.length / (width / 60)) === 0 ? (
            <text key={bar.name} textAnchor="middle" x={LEFT + (place + 0.5) * step} y={HEIGHT - 10}>{bar.name}</text>
          ) : null,
        )}
      </g>
      {bars.map((bar, place) => {
        let below = 0;
        return (
          <g key={bar.name}>
            <title>{`${bar.title}: ${seconds(total(bar))}`}</title>
            {phases.map((phase, layer) => {
              const from = below;
              below += bar.parts[phase] ?? 0;
              return (
                <rect
                  fill={colorOf(layer, dark)} height={up.at(from) - up.at(below)} key={phase} stroke="var(--chakra-colors-bg-panel)"
                  width={thick} x={LEFT + (place + 0.5) * step - thick / 2} y={up.at(below)}
                />
              );
            })}
          </g>
        );
      })}
    </svg>
  );
}

function StackTable({ bars, phases, label }: { bars: Bar[]; phases: string[]; label: string }) {
  const say = useWords();
  const { seconds } = useFormat();
  return (
    <DataTable
      columns={[
        { head: say("run"), cell: (bar) => bar.title },
        ...phases.map((phase) => ({
          head: phase, figure: true, cell: (bar: Bar) => (phase in bar.parts ? seconds(bar.parts[phase] ?? 0) : "–"),
        })),
      ]}
      label={label} rowKey={(bar) => bar.name} rows={bars}
    />
  );
}

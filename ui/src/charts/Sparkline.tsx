import { colorOf } from "../colors";
import { useDark } from "../surroundings";

const WIDTH = 240;
const HEIGHT = 44;

/** A line through all values, the last one marked; `label` says it in words. */
export function Sparkline({ values, label }: { values: number[]; label: string }) {
  const color = colorOf(0, useDark());
  const top = Math.max(...values) || 1;
  const at = (value: number, place: number): [number, number] => [
    4 + (place * (WIDTH - 8)) / Math.max(1, values.length - 1),
    HEIGHT - 4 - (value / top) * (HEIGHT - 10),
  ];
  const [x, y] = at(values.at(-1) ?? 0, values.length - 1);
  return (
    <svg aria-label={label} height={HEIGHT} preserveAspectRatio="none" role="img" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width="100%">
      <title>{label}</title>
      <polyline fill="none" points={values.map((value, place) => at(value, place).join(",")).join(" ")} stroke={color} strokeWidth={2} vectorEffect="non-scaling-stroke" />
      <line stroke={color} strokeLinecap="round" strokeWidth={7} vectorEffect="non-scaling-stroke" x1={x} x2={x} y1={y} y2={y} />
    </svg>
  );
}

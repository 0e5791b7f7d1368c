/** Okabe and Ito's colours, which the colour-blind can tell apart; lighter on dark ground. A dash goes with each. */

const LIGHT = ["#0072B2", "#D55E00", "#007A5A", "#B2528B", "#8A6100", "#2E7FB0", "#5B4BB7", "#6B6B6B"];
const DARK = ["#56B4E9", "#F28E4C", "#2CC295", "#E8A0C8", "#F0C445", "#9AD0F5", "#A99BF2", "#BDBDBD"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 4], [1, 4], [6, 2, 2, 2]];

export const colorOf = (place: number, dark: boolean): string => (dark ? DARK : LIGHT)[place % LIGHT.length] ?? "gray";
export const dashOf = (place: number): number[] => DASHES[place % DASHES.length] ?? [];

/** A shape and a colour for each verdict, so that neither is needed alone. */
export function verdictMark(verdict: string, dark: boolean): { shape: string; color: string } {
  if (verdict === "better") return { shape: "▲", color: colorOf(0, dark) };
  if (verdict === "worse") return { shape: "▼", color: colorOf(1, dark) };
  return { shape: "●", color: colorOf(7, dark) };
}

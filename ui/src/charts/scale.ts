/** From values to places on a chart. */

export interface Scale {
  at: (value: number) => number;
  ticks: number[];
}

/** From zero to a round number above `highest`, over the places `from` to `to`. */
export function scale(highest: number, from: number, to: number, wanted = 5): Scale {
  const step = roundStep((highest || 1) / wanted);
  const count = Math.ceil((highest || 1) / step - 1e-9);
  const top = count * step;
  return {
    at: (value) => from + (value / top) * (to - from),
    ticks: Array.from({ length: count + 1 }, (_, place) => Number((place * step).toPrecision(12))),
  };
}

function roundStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 2.5, 5, 10].find((nice) => nice * power >= raw * 0.999) ?? 10);
}

/** Numbers with units, times with a zone, in the viewer's language. */
import { useMemo } from "react";
import { useLanguage, useZone } from "./surroundings";

export interface Format {
  number: (value: number, digits?: number) => string;
  /** Tokens or requests a second. */
  rate: (value: number, unit: string) => string;
  /** Seconds, as what a person would say: 320 ms, 1.25 s, 3 min 20 s. */
  seconds: (value: number) => string;
  bytes: (value: number) => string;
  /** A difference, with its sign. */
  percent: (part: number) => string;
  /** A part of the whole. */
  share: (part: number) => string;
  time: (iso: string) => string;
  zone: string;
}

export function makeFormat(language: string, zone: string): Format {
  const number = (value: number, digits = 3) =>
    new Intl.NumberFormat(language, { maximumSignificantDigits: Math.max(digits, whole(value)) }).format(value);
  const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", timeZone: zone });
  return {
    number,
    zone,
    rate: (value, unit) => `${number(value)} ${unit}`,
    seconds: (value) => spoken(value, number),
    bytes: (value) => {
      const step = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.abs(value) || 1) / 10)));
      return `${number(value / 1024 ** step)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}`;
    },
    percent: (part) =>
      new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" }).format(part),
    share: (part) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(part),
    time: (iso) => clock.format(new Date(iso)),
  };
}

export function useFormat(): Format {
  const language = useLanguage();
  const zone = useZone();
  return useMemo(() => makeFormat(language, zone), [language, zone]);
}

const whole = (value: number) => String(Math.trunc(Math.abs(value))).length;

function spoken(value: number, number: Format["number"]): string {
  if (Math.abs(value) < 1e-3) return value === 0 ? "0 s" : `${number(value * 1e6)} µs`;
  if (Math.abs(value) < 1) return `${number(value * 1e3)} ms`;
  if (Math.abs(value) < 60) return `${number(value)} s`;
  const seconds = Math.round(value);
  if (seconds < 3600) return `${Math.trunc(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.trunc(seconds / 3600)} h ${Math.trunc((seconds % 3600) / 60)} min`;
}

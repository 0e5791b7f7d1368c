import { useEffect, useState } from "react";
import { ask, Refused } from "./api";

/** An answer on its way: `data` stays while it is asked for again. */
export interface Asked<T> {
  data?: T;
  refused?: Refused;
}

const REFRESH_MS = 30_000;

/** The answer at `path`, asked again every half minute while the page is seen. No path asks nothing. */
export function useAnswer<T>(path: string | null): Asked<T> {
  const [asked, setAsked] = useState<Asked<T> & { path?: string | null }>({});
  useEffect(() => {
    if (path === null) return;
    const aborting = new AbortController();
    const look = () =>
      ask<T>(path, aborting.signal).then(
        (data) => setAsked({ path, data }),
        (refused: unknown) => refused instanceof Refused && setAsked({ path, refused }),
      );
    void look();
    const timer = setInterval(() => document.visibilityState === "visible" && void look(), REFRESH_MS);
    return () => {
      clearInterval(timer);
      aborting.abort();
    };
  }, [path]);
  return asked.path === path ? asked : {};
}

/** Several answers side by side, each once; in the order of `paths`. */
export function useAnswers<T>(paths: string[]): Asked<T>[] {
  const key = paths.join("\n");
  const [asked, setAsked] = useState<Record<string, Asked<T>>>({});
  useEffect(() => {
    const aborting = new AbortController();
    const keep = (path: string, found: Asked<T>) => setAsked((before) => ({ ...before, [path]: found }));
    for (const path of key ? key.split("\n") : []) {
      ask<T>(path, aborting.signal).then(
        (data) => keep(path, { data }),
        (refused: unknown) => refused instanceof Refused && keep(path, { refused }),
      );
    }
    return () => aborting.abort();
  }, [key]);
  return paths.map((path) => asked[path] ?? {});
}

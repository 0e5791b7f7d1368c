/** The load of a cell: users in a closed loop, requests a second in an open one, or a shape in words. */
import { useCallback } from "react";
import { useFormat } from "./format";
import { useWords } from "./words";

export interface Load {
  /** 0 in an open loop. */
  users: number;
  /** 0 in a closed loop. */
  rate: number;
  /** A load that changes, or a trace: users or rate is then its highest. Else empty. */
  shape: string;
}

export const loadKey = ({ users, rate, shape }: Load): string => shape || (users ? `${users} users` : `${rate}/s`);
export const byLoad = (a: Load, b: Load): number => a.users - b.users || a.rate - b.rate || a.shape.localeCompare(b.shape);

/** Each load once, in order. */
export function loads(all: Load[]): Load[] {
  return [...new Map(all.map((load) => [loadKey(load), load])).values()].sort(byLoad);
}

export function useLoadName(): (load: Load) => string {
  const say = useWords();
  const { rate } = useFormat();
  return useCallback((load) => load.shape || (load.users ? say("usersN", { users: load.users }) : rate(load.rate, "req/s")), [say, rate]);
}

/** The load of a cell: users in a closed loop, requests a second in an open one. */
import { useCallback } from "react";
import { useFormat } from "./format";
import { useWords } from "./words";

export interface Load {
  /** 0 in an open loop. */
  users: number;
  /** 0 in a closed loop. */
  rate: number;
}

export const loadKey = ({ users, rate }: Load): string => (users ? `${users} users` : `${rate}/s`);
export const byLoad = (a: Load, b: Load): number => a.users - b.users || a.rate - b.rate;

/** Each load once, in order. */
export function loads(all: Load[]): Load[] {
  return [...new Map(all.map((load) => [loadKey(load), load])).values()].sort(byLoad);
}

export function useLoadName(): (load: Load) => string {
  const say = useWords();
  const { rate } = useFormat();
  return useCallback((load) => (load.users ? say("usersN", { users: load.users }) : rate(load.rate, "req/s")), [say, rate]);
}

/** What Airflow's page says of itself: its language, its time zone, whether it is dark. */
import { useSyncExternalStore } from "react";

function watchPage(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["class", "lang"] });
  globalThis.addEventListener("storage", changed);
  globalThis.addEventListener("local-storage", changed);
  return () => {
    observer.disconnect();
    globalThis.removeEventListener("storage", changed);
    globalThis.removeEventListener("local-storage", changed);
  };
}

export const useDark = (): boolean =>
  useSyncExternalStore(watchPage, () => document.documentElement.classList.contains("dark"));

/** A BCP 47 tag, as Airflow's language detector keeps it. */
export const useLanguage = (): string =>
  useSyncExternalStore(watchPage, () => localStorage.getItem("i18nextLng") ?? (document.documentElement.lang || "en"));

/** The zone that the viewer chose in Airflow, else the browser's. */
export function useZone(): string {
  const chosen = useSyncExternalStore(watchPage, () => localStorage.getItem("timezone"));
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const name = chosen?.replaceAll('"', "");
  return name && name !== "local" && isZone(name) ? name : own;
}

function isZone(name: string): boolean {
  try {
    return Boolean(Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

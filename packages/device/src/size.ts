import { ClusterdError } from "@clusterd/wire";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  kib: 1024,
  m: 1e6,
  mb: 1e6,
  mib: 1024 ** 2,
  g: 1e9,
  gb: 1e9,
  gib: 1024 ** 3,
  t: 1e12,
  tb: 1e12,
  tib: 1024 ** 4,
};

/** Bytes of a size as people write it: `8GB`, `8 GiB`, `500M`, `1.5g`, plain bytes; `/s` may follow. Throws `usage`. */
export function parseSize(text: string): number {
  const [, figure, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)(?:\/s)?\s*$/i.exec(text) ?? [];
  const factor = unit === undefined ? undefined : UNITS[unit.toLowerCase()];
  const bytes = figure === undefined || factor === undefined ? NaN : Math.round(Number(figure) * factor);
  if (!Number.isSafeInteger(bytes) || bytes <= 0)
    throw new ClusterdError("usage", `${JSON.stringify(text)} is not a size.`, { next: "Write it like 8GB, 500MB or 7.5GiB." });
  return bytes;
}

/** A size for people, in decimal units: `8.2 GB`. */
export function formatBytes(bytes: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [1e12, "TB"],
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ];
  const step = steps.find(([size]) => bytes >= size * 0.9995);
  if (step === undefined) return `${Math.round(bytes)} B`;
  const figure = bytes / step[0];
  return `${figure >= 99.95 ? figure.toFixed(0) : figure.toFixed(1)} ${step[1]}`;
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"] as const;

/** A size as people write it: decimal units, two figures at least (`2.1 GB`, `37 kB`, `512 bytes`). */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const figures = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1);
  return `${figures} ${UNITS[unit] ?? "bytes"}`;
}

/** Two sizes that differ, as texts that differ: in bytes where the rounded ones would look alike. */
export function sizeTexts(a: number, b: number): readonly [string, string] {
  const rounded = [sizeText(a), sizeText(b)] as const;
  if (rounded[0] !== rounded[1]) return rounded;
  return [`${a.toLocaleString("en-US")} bytes`, `${b.toLocaleString("en-US")} bytes`];
}

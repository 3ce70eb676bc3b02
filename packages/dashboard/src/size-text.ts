/** A size for people, in decimal units. */
export function sizeText(bytes: number): string {
  const [size, unit] = (
    [
      [1e12, "TB"],
      [1e9, "GB"],
      [1e6, "MB"],
      [1e3, "kB"],
    ] as const
  ).find(([step]) => bytes >= step * 0.9995) ?? [1, "B"];
  const figure = bytes / size;
  return `${size === 1 || figure >= 99.95 ? figure.toFixed(0) : figure.toFixed(1)} ${unit}`;
}

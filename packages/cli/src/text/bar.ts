/** A bar of `width` cells, filled to `fraction`; anything above nothing shows at least one cell. */
export function bar(fraction: number, width: number): string {
  const clamped = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
  const filled = clamped === 0 ? 0 : Math.max(1, Math.round(clamped * width));
  return "█".repeat(filled) + "░".repeat(width - filled);
}

export function percent(fraction: number): string {
  return `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)} %`;
}

/** Tokens per second with as many digits as mean something; `—` where nothing was measured. */
export function rate(tokensPerSecond: number | null): string {
  if (tokensPerSecond === null || !Number.isFinite(tokensPerSecond) || tokensPerSecond <= 0) return "—";
  return tokensPerSecond >= 100 ? tokensPerSecond.toFixed(0) : tokensPerSecond.toFixed(1);
}

/** Milliseconds likewise. */
export function milliseconds(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return "—";
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** A wait, in the unit a person counts it in. */
export function seconds(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return "—";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

/** First and last layer, both included. */
export function layerRange(stage: { readonly firstLayer: number; readonly lastLayer: number }): string {
  return stage.firstLayer === stage.lastLayer ? `${stage.firstLayer}` : `${stage.firstLayer}–${stage.lastLayer}`;
}

export function counted(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A span that was chosen in whole seconds, minutes or hours. */
export function durationText(seconds: number): string {
  if (seconds >= 7200) return `${Math.round(seconds / 360) / 10} h`;
  return seconds >= 120 ? `${Math.round(seconds / 6) / 10} min` : `${Math.round(seconds)} s`;
}

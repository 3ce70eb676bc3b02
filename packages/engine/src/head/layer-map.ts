const ASSIGNED = /load_tensors: layer\s+(\d+) assigned to device ([^\s,]+)/;

/** The device of each layer by llama-server's own log; the layer after the last one is the output. */
export function parseLayerDevices(lines: Iterable<string>): ReadonlyMap<number, string> {
  const devices = new Map<number, string>();
  for (const line of lines) {
    const [, layer, device] = ASSIGNED.exec(line) ?? [];
    if (layer !== undefined && device !== undefined) devices.set(Number(layer), device);
  }
  return devices;
}

/** The first layer that is not where it was wanted, in words, or null. */
export function misplacedLayer(wanted: readonly string[], found: ReadonlyMap<number, string>): string | null {
  for (const [layer, device] of wanted.entries()) {
    const actual = found.get(layer);
    if (actual !== device) return `layer ${layer} is on ${actual ?? "no device"} instead of ${device}`;
  }
  // The output has the slot behind the last layer: the log ends there, neither before nor after.
  const layers = Math.max(-1, ...found.keys());
  return layers === wanted.length ? null : `the model has ${layers} layers instead of the ${wanted.length} planned ones`;
}

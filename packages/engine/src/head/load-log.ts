/** What llama-server's own log says of a load, gathered line by line. */
export interface LoadLog {
  take(line: string): void;
  /** Device of each layer, by the log. */
  readonly layerDevices: ReadonlyMap<number, string>;
  /** Bytes by device and kind, as the engine reports them. */
  readonly buffers: readonly BufferSize[];
  readonly port: number | null;
  /** The last lines that name an error. */
  readonly errors: readonly string[];
}

export interface BufferSize {
  /** `CPU`, `RPC0[127.0.0.1:1234]`, `CUDA0`, … */
  readonly device: string;
  readonly kind: "model" | "KV" | "compute" | "output";
  readonly bytes: number;
}

const ERRORS_MAX = 8;
const BUFFERS_MAX = 128;

export function createLoadLog(): LoadLog {
  const layerDevices = new Map<number, string>();
  const buffers: BufferSize[] = [];
  const errors: string[] = [];
  let port: number | null = null;
  return {
    take(line) {
      if (port !== null) return;
      const layer = /load_tensors: layer\s+(\d+) assigned to device (\S+?),/.exec(line);
      if (layer !== null) layerDevices.set(Number(layer[1]), layer[2] ?? "");
      const buffer = /:\s+(\S+) (model|KV|compute|output) buffer size =\s+([\d.]+) MiB/.exec(line);
      if (buffer !== null && buffers.length < BUFFERS_MAX) {
        buffers.push({ device: buffer[1] ?? "", kind: buffer[2] as BufferSize["kind"], bytes: Math.round(Number(buffer[3]) * 1024 * 1024) });
      }
      const listening = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
      if (listening !== null) port = Number(listening[1]);
      if (/^\S+ E |error|failed|abort/i.test(line) && !/ [DI] /.test(line)) {
        errors.push(line.replace(/^[\d.]+ [A-Z] /, ""));
        if (errors.length > ERRORS_MAX) errors.shift();
      }
    },
    layerDevices,
    buffers,
    errors,
    get port() {
      return port;
    },
  };
}

/** The first layer that is not where it was wanted, in words, or null. */
export function misplacedLayer(wanted: readonly string[], log: LoadLog): string | null {
  for (const [layer, device] of wanted.entries()) {
    const found = log.layerDevices.get(layer);
    if (found !== device) return `layer ${layer} is on ${found ?? "no device"} instead of ${device}`;
  }
  return null;
}

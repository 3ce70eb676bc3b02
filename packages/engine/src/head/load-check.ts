import { parseBufferSizes } from "./buffer-sizes.ts";
import { devicesOf, endpointsOf, type HeadSpec } from "./head-spec.ts";

/** llama-server goes on without, where a draft model turns out to be of no use. */
const NOT_SPECULATING = /failed to initialize speculative decoding context: (.+)/;
const OFFLOADED = /offloaded (\d+)\/(\d+) layers/;

/** Whether a line of the log says something about a load that is kept. */
export function isLoadReport(line: string): boolean {
  return line.includes(" buffer size =") || OFFLOADED.test(line) || NOT_SPECULATING.test(line);
}

/** What in the log of a finished load goes against the plan, in words, or null. */
export function contradiction(spec: HeadSpec, lines: readonly string[]): string | null {
  const silent = lines.map((line) => NOT_SPECULATING.exec(line)).find((match) => match !== null);
  if (silent !== undefined && spec.speculation?.type !== "ngram") return `it does not speculate: ${silent[1]}`;
  const offloaded = lines.map((line) => OFFLOADED.exec(line)).find((match) => match !== null);
  const layers = devicesOf(spec).reduce((sum, device) => sum + device.layers, 0);
  // The output counts as one more, on both sides.
  const wanted = layers === 0 ? 0 : layers + 1;
  const all = spec.layerCount + (spec.nextTokenLayers ?? 0) + 1;
  if (offloaded !== undefined && (Number(offloaded[1]) !== wanted || Number(offloaded[2]) !== all)) {
    return `${offloaded[1]} of ${offloaded[2]} layers are off the head's CPU instead of ${wanted} of ${all}`;
  }
  const holders = new Set(
    parseBufferSizes(lines).flatMap((size) => (size.kind === "model" && size.bytes > 0 ? [size.endpoint] : [])),
  );
  const empty = endpointsOf(spec.layers).find((endpoint) => !holders.has(endpoint));
  return empty === undefined ? null : `the worker behind ${empty} holds no weights`;
}

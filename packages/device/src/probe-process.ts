// Reads a buffer larger than any cache for a fraction of a second and prints bytes per second: what one core can read from memory.
const BUFFER_BYTES = 128 * 1024 * 1024;
const PROBE_MS = 180;

const buffer = Buffer.alloc(BUFFER_BYTES, 1);
const needle = Buffer.from([2]);
// `indexOf` of an absent byte is memchr: it reads every byte, as fast as the machine reads.
buffer.indexOf(needle);
let best = 0;
const end = performance.now() + PROBE_MS;
while (performance.now() < end) {
  const start = performance.now();
  buffer.indexOf(needle);
  best = Math.max(best, BUFFER_BYTES / ((performance.now() - start) / 1000));
}
process.stdout.write(String(Math.round(best)));

// A step of set-up: finds or builds the engine, and tells of it in lines of JSON on standard output.
import { asClusterdError } from "../../packages/wire/src/errors.ts";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";

const say = (line: Readonly<Record<string, unknown>>): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());

try {
  const engine = await ensureEngine({
    signal: stop.signal,
    onProgress: ({ step, fraction }) => say({ step, fraction }),
  });
  for (const note of engine.notes) say({ note });
  say({ dir: engine.dir });
} catch (error) {
  if (stop.signal.aborted) process.exitCode = 130;
  else {
    const { message, next } = asClusterdError(error);
    say({ message, next });
    process.exitCode = 1;
  }
}

// Run by set-up: makes the engine where it is not there yet, and says on stderr how far it is.
import { asClusterdError } from "@clusterd/wire";
import { ensureEngine } from "./ensure-engine.ts";

const abort = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => abort.abort());

try {
  const engine = await ensureEngine({
    signal: abort.signal,
    onProgress: ({ step, fraction }) => process.stderr.write(`progress ${fraction === null ? "-" : Math.round(fraction * 100)} ${step}\n`),
  });
  process.stdout.write(`${engine.dir}\n`);
} catch (error) {
  const { message, next } = asClusterdError(error);
  process.stderr.write(`error ${message}\n${next === undefined ? "" : `next ${next}\n`}`);
  process.exitCode = abort.signal.aborted ? 130 : 1;
}

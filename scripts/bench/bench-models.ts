import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const DEMO = fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url));
const MAKE_MODEL = fileURLToPath(new URL("../make-model.ts", import.meta.url));
/** 304 MB: a token of it takes 50 ms on one core, as one of a model worth distributing does. */
const MADE = ["--layers", "24", "--width", "1024"];

/** The models named; where none is, the demo model and a larger one of random weights, made for this run. */
export async function benchModels(named: readonly string[], stack: AsyncDisposableStack): Promise<readonly string[]> {
  if (named.length > 0) return named;
  const folder = await mkdtemp(join(tmpdir(), "clusterd-bench-model-"));
  stack.defer(() => rm(folder, { recursive: true }));
  const made = join(folder, "made-24l-1024.gguf");
  await promisify(execFile)(process.execPath, [MAKE_MODEL, made, ...MADE]);
  return [DEMO, made];
}

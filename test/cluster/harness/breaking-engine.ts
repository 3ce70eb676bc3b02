import { chmod, mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { ensureEngine } from "../../../packages/engine/src/index.ts";

const PROCESS = resolve(import.meta.dirname, "breaking-engine-process.ts");

export interface BreakingEngine {
  /** For CLUSTERD_ENGINE_DIR. */
  readonly dir: string;
  /** A file: while it is there the next placeholder is bent, and the file then deleted. */
  readonly flag: string;
}

/**
 * The real engine, but for what its llama-server passes on between its stages: where the flag lies, it changes one byte of a placeholder
 * (docs/rpc-relay.md) that its relay gave it, as an engine would that does something else with results than it did so far.
 */
export async function breakingEngine(): Promise<BreakingEngine> {
  const engine = await ensureEngine();
  const folder = await mkdtemp(join(tmpdir(), "clusterd-breaking-"));
  const [dir, flag] = [join(folder, "engine"), join(folder, "break")];
  await mkdir(dir);
  const libraries = readdirSync(dirname(engine.rpcServer)).filter((name) => /\.(so|dylib)/.test(name));
  for (const name of [...libraries, basename(engine.rpcServer)])
    await symlink(join(dirname(engine.rpcServer), name), join(dir, name));
  const llamaServer = join(dir, "llama-server");
  const words = [process.execPath, PROCESS, flag, engine.llamaServer].map((word) => `'${word}'`).join(" ");
  await writeFile(llamaServer, `#!/bin/sh\nexec ${words} "$@"\n`);
  await chmod(llamaServer, 0o755);
  return { dir, flag };
}

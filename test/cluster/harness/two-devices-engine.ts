import { chmod, mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ensureEngine } from "../../../packages/engine/src/index.ts";

const MIB = 1024 * 1024;

/**
 * The real engine with two accelerators that are none: it lists them, and its rpc-server serves the processor under either name. For
 * CLUSTERD_ENGINE_DIR.
 */
export async function twoDevicesEngine(memoryBytes: number): Promise<string> {
  const engine = await ensureEngine();
  const dir = join(await mkdtemp(join(tmpdir(), "clusterd-two-devices-")), "engine");
  await mkdir(dir);
  for (const name of readdirSync(dirname(engine.rpcServer)))
    if (/\.(so|dylib)/.test(name)) await symlink(join(dirname(engine.rpcServer), name), join(dir, name));
  const lines = [0, 1].map((index) => `  CARD${index}: Card (${memoryBytes / MIB} MiB, ${memoryBytes / MIB} MiB free)`);
  await script(join(dir, "llama-server"), [
    'case " $* " in *" --list-devices "*)',
    ...["Available devices:", ...lines].map((line) => `echo '${line}'`),
    "exit 0;; esac",
    `exec ${engine.llamaServer} "$@"`,
  ]);
  // Its arguments are known: `-d` and the device come last.
  await script(join(dir, "ggml-rpc-server"), [
    `if [ "$7" = -d ]; then exec ${engine.rpcServer} "$1" "$2" "$3" "$4" "$5" "$6" -d CPU; fi`,
    `exec ${engine.rpcServer} "$@"`,
  ]);
  return dir;
}

async function script(path: string, lines: readonly string[]): Promise<void> {
  await writeFile(path, ["#!/bin/sh", ...lines, ""].join("\n"));
  await chmod(path, 0o755);
}

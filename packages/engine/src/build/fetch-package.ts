import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ClusterdError } from "@clusterd/wire";
import { runCommand, type CommandResult } from "./command.ts";

const FETCH_TIMEOUT_MS = 20 * 60_000;
const VIEW_TIMEOUT_MS = 60_000;

export interface FetchPackageOptions {
  readonly name: string;
  readonly version: string;
  /** An empty or new folder the package is unpacked into. */
  readonly into: string;
  readonly cmake: string;
  readonly logFile: string;
  readonly signal?: AbortSignal | undefined;
}

async function npm(args: readonly string[], timeoutMs: number, options: FetchPackageOptions): Promise<CommandResult> {
  const shared = { signal: options.signal, timeoutMs, logFile: options.logFile };
  // On Windows npm is a batch file, which only the command interpreter runs.
  if (process.platform === "win32") return runCommand("cmd.exe", ["/d", "/s", "/c", "npm", ...args], shared);
  return runCommand("npm", args, shared);
}

/** The SHA-512 of a file as registries write it. */
export async function fileIntegrity(file: string): Promise<string> {
  const hash = createHash("sha512");
  await pipeline(createReadStream(file), hash);
  return `sha512-${hash.digest("base64")}`;
}

/** Fetches one package with the user's npm (its registry, its proxy), checks it against the registry's word, unpacks it. */
export async function fetchPackage(options: FetchPackageOptions): Promise<string> {
  const spec = `${options.name}@${options.version}`;
  const failed = (why: string, cause?: unknown): ClusterdError =>
    new ClusterdError("engine_missing", `The package ${spec} could not be fetched: ${why}.`, {
      cause,
      next: "Check that the registry can be reached (`npm config get registry`, `npm config get https-proxy`) and try again.",
    });
  await mkdir(options.into, { recursive: true });
  let said: CommandResult;
  let packed: CommandResult;
  try {
    said = await npm(["view", spec, "dist.integrity", "--json", "--loglevel=error"], VIEW_TIMEOUT_MS, options);
    const pack = ["pack", spec, "--pack-destination", options.into, "--silent", "--ignore-scripts"];
    packed = said.code === 0 ? await npm(pack, FETCH_TIMEOUT_MS, options) : said;
  } catch (error) {
    options.signal?.throwIfAborted();
    throw failed(error instanceof Error ? error.message : String(error), error);
  }
  const expected = /sha512-[A-Za-z0-9+/=]+/.exec(said.output)?.[0];
  const tarball = (await readdir(options.into)).find((name) => name.endsWith(".tgz"));
  if (packed.code !== 0 || expected === undefined || tarball === undefined) {
    throw failed(
      packed.output
        .trim()
        .split("\n")
        .findLast((line) => line !== "") ?? `npm ended with status ${packed.code}`,
    );
  }
  const file = join(options.into, tarball);
  const actual = await fileIntegrity(file);
  if (actual !== expected) throw failed(`its checksum is ${actual}, the registry says ${expected}`);
  const unpacked = await runCommand(options.cmake, ["-E", "tar", "xzf", file], {
    cwd: options.into,
    signal: options.signal,
    logFile: options.logFile,
  });
  if (unpacked.code !== 0) throw failed("its archive could not be unpacked");
  await rm(file);
  return join(options.into, "package");
}

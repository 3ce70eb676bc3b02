import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Upstream } from "@clusterd/gateway";
import { ClusterdError } from "@clusterd/wire";
import { checkUpstreams, type KeySource } from "./check-upstreams.ts";

const FILE_BYTES_MAX: number = 256 * 1024;
const KEY_LENGTH_MAX = 512;
/** Permissions of anyone but the owner. */
const OTHERS = 0o077;

export interface UpstreamFile {
  readonly path: string;
  /** Named by a person: it must be there. */
  readonly named: boolean;
}

/** The upstreams of a file with their keys; none where there is no file. Every problem is a `usage` error that names file and field. */
export async function readUpstreams(
  { path, named }: UpstreamFile,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Upstream[]> {
  const text = await readOwn(path);
  if (text === null) {
    if (named) throw new ClusterdError("usage", `There is no file ${path}.`, { next: "Check the path given to --upstream." });
    return [];
  }
  const entries = checkUpstreams(parsed(text, path), path);
  return Promise.all(
    entries.map(async ({ key, ...entry }, at) => ({
      ...entry,
      apiKey: await keyFrom(key, env, { path, field: `upstreams[${at}]` }),
    })),
  );
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's words would show a piece of the file, which holds keys.
    throw new ClusterdError("usage", `${path} is no JSON.`, { next: "docs/gateway.md has an example of this file." });
  }
}

/** A file that nobody but its owner may read; null where there is none. */
async function readOwn(path: string): Promise<string | null> {
  let size: number;
  let mode: number;
  try {
    ({ size, mode } = await stat(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new ClusterdError("usage", `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (process.platform !== "win32" && (mode & OTHERS) !== 0) {
    throw new ClusterdError("usage", `${path} may be read by others than its owner, and holds keys.`, {
      next: `Close it to them: chmod 600 ${path}`,
    });
  }
  if (size > FILE_BYTES_MAX) throw new ClusterdError("usage", `${path} has more than ${FILE_BYTES_MAX} bytes.`);
  return readFile(path, "utf8");
}

async function keyFrom(
  { kind, value }: KeySource,
  env: Readonly<Record<string, string | undefined>>,
  at: { readonly path: string; readonly field: string },
): Promise<string | null> {
  if (kind === "none") return null;
  if (kind === "text") return value;
  const [field, source] = kind === "environment" ? ["apiKeyEnv", `the variable ${value}`] : ["apiKeyFile", `the file ${value}`];
  const found = kind === "environment" ? env[value] : await readOwn(resolve(dirname(at.path), value));
  const key = found?.trim() ?? "";
  if (key !== "" && key.length <= KEY_LENGTH_MAX && /^[\x21-\x7e]+$/.test(key)) return key;
  const why = found === undefined || found === null ? "is not there" : key === "" ? "is empty" : "holds no key";
  throw new ClusterdError("usage", `${at.path}: ${at.field}.${field}: ${source} ${why}.`);
}

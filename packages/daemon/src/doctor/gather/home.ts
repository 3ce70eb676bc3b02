import { constants } from "node:fs";
import { access, readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { leftovers, openCatalog } from "@clusterd/catalog";
import { engineCacheFolder } from "@clusterd/engine";
import { homePaths } from "../../home/paths.ts";
import { readDaemonRecord } from "../../home/daemon-record.ts";
import { BUNDLED_MODELS } from "../../offline/bundled-models.ts";
import type { DaemonFacts, HomeFacts, ModelFacts } from "../facts.ts";
import { readText } from "./ask-system.ts";

const OTHERS_READ = 0o077;
const ANSWER_MS_MAX = 3_000;
const NETWORK_TYPES = new Set(["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"]);

/** The type of the file system on which a path lies, by the text of `/proc/mounts`; null: not a network's. */
export function networkFileSystem(mounts: string, path: string): string | null {
  const all = mounts
    .split("\n")
    .map((line) => line.split(" "))
    .map(([, at = "", type = ""]) => ({ at: at.replaceAll("\\040", " "), type }))
    .filter(({ at }) => at !== "" && (path === at || path.startsWith(at.endsWith("/") ? at : `${at}/`)))
    .toSorted((one, other) => one.at.length - other.at.length);
  const type = all.at(-1)?.type ?? "";
  return NETWORK_TYPES.has(type) ? type : null;
}

async function mayWrite(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(folder) === folder) return false;
    return mayWrite(dirname(folder));
  }
}

export async function gatherHome(home: string): Promise<HomeFacts> {
  const paths = homePaths(resolve(home));
  const found = await stat(paths.home).catch(() => null);
  const isPosix = process.platform !== "win32";
  const secrets = [paths.identity, paths.certificate, paths.cluster, paths.apiKey, paths.daemon];
  const exposed: string[] = [];
  for (const file of isPosix ? secrets : []) {
    const mode = await stat(file).then(
      (stats) => stats.mode,
      () => 0,
    );
    if ((mode & OTHERS_READ) !== 0) exposed.push(file);
  }
  const mounts = process.platform === "linux" ? await readText("/proc/mounts") : null;
  return {
    path: paths.home,
    exists: found !== null,
    writable: (found === null || found.isDirectory()) && (await mayWrite(paths.home)),
    mode: found === null || !isPosix ? null : found.mode & 0o777,
    owned: found === null || process.getuid === undefined || found.uid === process.getuid(),
    exposed,
    networkFileSystem: mounts === null ? null : networkFileSystem(mounts, paths.home),
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

export async function gatherDaemon(home: string, signal: AbortSignal): Promise<DaemonFacts> {
  const record = await readDaemonRecord(home);
  const alive = record !== null && isAlive(record.pid);
  const answers = alive
    ? await fetch(new URL("/health", record.api), { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]) }).then(
        (response) => response.ok,
        () => false,
      )
    : null;
  return {
    record: record === null ? null : { pid: record.pid, api: record.api, startedAt: record.startedAt },
    alive,
    answers,
    buildLock: await buildLock(),
  };
}

async function buildLock(): Promise<DaemonFacts["buildLock"]> {
  const folder = engineCacheFolder();
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.endsWith(".lock"))) {
    const path = join(folder, name);
    const pid = Number.parseInt(await readFile(path, "utf8").catch(() => ""), 10);
    if (!Number.isNaN(pid)) return { path, pid, alive: isAlive(pid) };
  }
  return null;
}

export async function gatherModels(home: string, signal: AbortSignal): Promise<ModelFacts> {
  const paths = homePaths(home);
  const left = await leftovers(paths.models);
  // Without a home there are no models, and none is to be made by looking.
  const isThere = await access(paths.home).then(
    () => true,
    () => false,
  );
  const catalog = isThere ? await openCatalog({ home: paths.home, bundled: BUNDLED_MODELS, signal }) : null;
  return { broken: catalog?.problems() ?? [], aside: left.filter(({ isWrong }) => isWrong).map(({ path }) => path) };
}

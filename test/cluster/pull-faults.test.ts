import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, open, readFile, rename, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const DEMO = resolve(import.meta.dirname, "../../models/demo-16l-q8_0.gguf");
const here: Host = { name: "here", ownPorts: false, wrap: (command, args) => [command, args] };
const MIB = 1024 * 1024;
const KILLS = Number(process.env["CLUSTERD_PULL_KILLS"] ?? 3);
const BYTES_PER_SECOND = 2 * MIB;

let folder: string;
let large: Buffer;
let hub: TestHub;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-pull-faults-"));
  // The header tells where the tensors are; what lies behind them is no tensor's.
  large = Buffer.concat([await readFile(DEMO), randomBytes(24 * MIB)]);
  hub = await startTestHub({ files: { "large-Q8_0.gguf": large }, bytesPerSecond: BYTES_PER_SECOND });
});
afterAll(async () => {
  await hub[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const start = (home: string): Promise<TestNode> =>
  startNode(here, { home, args: ["--no-mdns"], env: { HF_ENDPOINT: hub.endpoint } });
const placeIn = (home: string): string => join(home, "models/o/r/large-Q8_0.gguf");

/** Once so many bytes have come: a state that is asked for by command comes late on a busy machine. */
async function sent(bytes: number): Promise<void> {
  for (const goal = hub.sentBytes + bytes; hub.sentBytes < goal;) await pause(20);
}

/** What of a file is written down as there for good. */
async function recordedBytes(target: string): Promise<number> {
  const text = await readFile(`${target}.part.json`, "utf8").catch(() => null);
  if (text === null) return 0;
  const { done } = JSON.parse(text) as { done: string };
  return [...Buffer.from(done, "base64")].reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0) * MIB;
}

test(
  "a daemon that is killed on the way goes on from what is written down, and has the right bytes",
  { timeout: 600_000 },
  async () => {
    const home = join(folder, "killed");
    const target = placeIn(home);
    let resumed = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const node = await start(home);
      try {
        await node.until(({ standing }) => standing.kind === "member", "a member");
        const goal = hub.sentBytes + MIB + Math.floor(Math.random() * 6 * MIB);
        const command = { isOver: false };
        const pulling = node.run("pull", "hf:o/r").finally(() => (command.isOver = true));
        // The last kill is after something was written down, however busy the machine is.
        const isDue = async (): Promise<boolean> =>
          kill < KILLS - 1 ? hub.sentBytes >= goal : (await recordedBytes(target)) > 0;
        while (!command.isOver && !(await isDue())) await pause(20);
        await node.end("SIGKILL");
        // The command is told, and does not wait for a daemon that is gone.
        if (!command.isOver) expect((await pulling).status).not.toBe(0);
      } finally {
        await node.end("SIGKILL");
      }
      const whole = await readFile(target).catch(() => null);
      // All of it came before the kill: then it is right, and is begun once more.
      if (whole !== null) {
        expect(whole.equals(large)).toBe(true);
        await rm(join(target, ".."), { recursive: true });
      } else if ((await recordedBytes(target)) > 0) resumed += 1;
    }
    expect(resumed).toBeGreaterThan(0);
    await using node = await start(home);
    await node.until(({ standing }) => standing.kind === "member", "a member");
    const recorded = await recordedBytes(target);
    const before = hub.sentBytes;
    const done = await node.run("pull", "hf:o/r", "--json");
    expect(done.status, done.stderr).toBe(0);
    expect(hub.sentBytes - before).toBe(large.length - recorded);
    expect((await readFile(target)).equals(large)).toBe(true);
  },
);

/** A disk of its own of so many MiB; null where nobody may mount one. */
async function smallDisk(name: string, mebibytes: number): Promise<(AsyncDisposable & { readonly path: string }) | null> {
  const path = join(folder, name);
  await mkdir(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", path], { stdio: "pipe" });
  } catch {
    return null;
  }
  return { path, [Symbol.asyncDispose]: async () => void execFileSync("umount", ["-l", path]) };
}

/** Takes all of a disk but so much. */
async function fill(disk: string, leftBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(disk);
  await using ballast = await open(join(disk, "ballast"), "a");
  const piece = Buffer.alloc(MIB, 1);
  try {
    for (let left = bavail * bsize - leftBytes; left > 0; left -= MIB)
      await ballast.write(piece.subarray(0, Math.min(left, MIB)));
  } catch (error) {
    // What is fetched takes room meanwhile: full is full.
    expect(error).toMatchObject({ code: "ENOSPC" });
  }
}

test(
  "a disk that fills up on the way: said with what is needed, the API answers, and it goes on once there is room",
  { timeout: 120_000 },
  async (context) => {
    await using disk = await smallDisk("small", 160);
    if (disk === null) {
      context.skip();
      return;
    }
    const home = join(folder, "full");
    await mkdir(join(disk.path, "models"));
    await mkdir(home);
    await rename(join(disk.path, "models"), join(disk.path, "m"));
    execFileSync("ln", ["-s", join(disk.path, "m"), join(home, "models")]);
    await using node = await start(home);
    await node.until(({ standing }) => standing.kind === "member", "a member");
    const pulling = node.run("pull", "hf:o/r");
    await sent(9 * MIB);
    await fill(disk.path, 0);
    const failed = await pulling;
    expect(failed.stderr).toMatch(/disk is full: .* needs [\d.]+ \w+ more, [\d.]+ \w+ are free \(ENOSPC\)/u);
    expect(failed.stderr).toMatch(/make room/u);
    expect((await node.state()).pulls).toEqual([]);
    expect(await node.post("/v1/chat/completions", {})).toContain("error");
    // Before the first byte, where it is full from the start.
    const refused = await node.run("pull", "hf:o/r");
    expect(refused.stderr).toMatch(/needs .* are free/u);
    expect(await recordedBytes(placeIn(home))).toBeGreaterThan(0);
    const recorded = await recordedBytes(placeIn(home));
    await rm(join(disk.path, "ballast"));
    const before = hub.sentBytes;
    const again = await node.run("pull", "hf:o/r");
    expect(again.status, again.stderr).toBe(0);
    expect(hub.sentBytes - before).toBe(large.length - recorded);
    expect((await readFile(placeIn(home))).equals(large)).toBe(true);
  },
);

test(
  "a models folder that is none, may not be written, or is gone: said by name, and the API answers",
  { timeout: 120_000 },
  async () => {
    const home = join(folder, "odd");
    await mkdir(join(home, "models"), { recursive: true });
    await writeFile(join(home, "models", "o"), "a file where a folder must be");
    await using node = await start(home);
    await node.until(({ standing }) => standing.kind === "member", "a member");
    const inTheWay = await node.run("pull", "hf:o/r");
    expect(inTheWay.status).not.toBe(0);
    expect(inTheWay.stderr).toMatch(/models\/o.*a file is where a folder must be/u);
    await rm(join(home, "models", "o"));
    // Root writes everywhere: for it a disk that is read-only stands for a folder it may not write.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) {
      execFileSync("mount", ["--bind", join(home, "models"), join(home, "models")]);
      execFileSync("mount", ["-o", "remount,ro,bind", join(home, "models")]);
    } else await chmod(join(home, "models"), 0o500);
    const readOnly = await node.run("pull", "hf:o/r");
    if (isRoot) execFileSync("umount", ["-l", join(home, "models")]);
    else await chmod(join(home, "models"), 0o700);
    expect(readOnly.stderr).toMatch(/models.*(?:read-only|may not be written) \((?:EROFS|EACCES)\)/u);
    const pulling = node.run("pull", "hf:o/r");
    await sent(4 * MIB);
    await rename(join(home, "models"), join(home, "elsewhere"));
    const gone = await pulling;
    expect(gone.status).not.toBe(0);
    expect(gone.stderr).toMatch(/its folder is gone/u);
    expect((await node.state()).standing.kind).toBe("member");
  },
);

test("a file that was cut short is refused by its sizes, and no engine is started for it", async () => {
  const home = join(folder, "cut");
  await using node = await start(home);
  await node.until(({ standing }) => standing.kind === "member", "a member");
  const path = join(folder, "half.gguf");
  await writeFile(path, await readFile(DEMO));
  await truncate(path, 1_876_624);
  const loaded = await node.run("load", path, "--wait");
  expect(loaded.status).not.toBe(0);
  expect(loaded.stderr).toMatch(/half\.gguf: the file holds 1\.9 MB, its header says 3\.8 MB/u);
  const corrupt = join(folder, "corrupt.gguf");
  const bytes = await readFile(DEMO);
  bytes.writeBigUInt64LE(2n ** 60n, 16);
  await writeFile(corrupt, bytes);
  expect((await node.run("load", corrupt, "--wait")).stderr).toMatch(
    /corrupt\.gguf: its header is corrupt: it claims \d+ metadata entries/u,
  );
  expect(enginesOf(node.pid)).toEqual([]);
  expect((await node.state()).deployments).toEqual([]);
  // The control: the whole one starts an engine, which is seen.
  const whole = await node.run("load", DEMO, "--wait");
  expect(whole.status, whole.stderr).toBe(0);
  expect(enginesOf(node.pid)).not.toEqual([]);
});

/** Processes below a daemon that are llama.cpp's. */
function enginesOf(pid: number): readonly string[] {
  const all = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/u.exec(line))
    .map((found) => ({ pid: Number(found?.[1]), parent: Number(found?.[2]), args: found?.[3] ?? "" }));
  const below = new Set([pid]);
  for (let grown = true; grown;) {
    grown = false;
    for (const each of all)
      if (below.has(each.parent) && !below.has(each.pid)) {
        below.add(each.pid);
        grown = true;
      }
  }
  return all
    .filter((each) => below.has(each.pid) && /llama-server|rpc-server|llama/u.test(each.args.split(" ")[0] ?? ""))
    .map(({ args }) => args);
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { takeBuildLock } from "./build-lock.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** The pid of a process that has just ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await once(child, "exit");
  return child.pid ?? 0;
}

describe("the build lock", () => {
  test("lets one in at a time, and the next one after", async () => {
    const file = join(folder, "lock");
    const order: string[] = [];
    const first = await takeBuildLock(file);
    const { promise: waited, resolve: onWait } = Promise.withResolvers<number>();
    const next = async (): Promise<void> => {
      const second = await takeBuildLock(file, { onWait });
      order.push("second in");
      await second[Symbol.asyncDispose]();
    };
    const done = next();
    expect(await waited).toBe(process.pid);
    order.push("first out");
    await first[Symbol.asyncDispose]();
    await done;
    expect(order).toEqual(["first out", "second in"]);
    expect(existsSync(file)).toBe(false);
  });

  test("is taken over from a dead process, not from a living one", async () => {
    const file = join(folder, "lock");
    await writeFile(file, `${await deadPid()} gone`);
    const lock = await takeBuildLock(file);
    expect(await readFile(file, "utf8")).toMatch(new RegExp(`^${process.pid} `));
    await expect(takeBuildLock(file, { waitMsMax: 0 })).rejects.toMatchObject({ code: "timeout" });
    await lock[Symbol.asyncDispose]();
  });

  test("gives up waiting when told to", async () => {
    const file = join(folder, "lock");
    await using _lock = await takeBuildLock(file);
    const stop = new AbortController();
    await expect(takeBuildLock(file, { signal: stop.signal, onWait: () => stop.abort() })).rejects.toThrow(/abort/i);
  });

  test("many at once: never two inside", async () => {
    const file = join(folder, "lock");
    await writeFile(file, `${await deadPid()} gone`);
    let inside = 0;
    const most: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        await using _lock = await takeBuildLock(file);
        most.push(++inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
      }),
    );
    expect(most).toEqual(Array.from({ length: 8 }, () => 1));
    expect(await readdir(folder)).toEqual([]);
  });

  test("who died while taking a dead one's lock away keeps nobody out", async () => {
    const file = join(folder, "lock");
    const gone = await deadPid();
    await writeFile(file, `${gone} gone`);
    await writeFile(`${file}.breaking`, `${gone}`);
    await using lock = await takeBuildLock(file, { signal: AbortSignal.timeout(30_000) });
    expect(lock).toBeDefined();
  });
});

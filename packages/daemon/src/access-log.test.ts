import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openAccessLog } from "./access-log.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-access-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const warn = (message: string): never => expect.fail(message);

test("lines are appended in order, for the owner alone", async () => {
  const path = join(folder, "access.log");
  for (const part of ["a", "b"]) {
    await using log = await openAccessLog({ path, warn });
    for (let at = 0; at < 50; at++) log.add(`${part}${at}`);
  }
  const lines = (await readFile(path, "utf8")).trim().split("\n");
  expect(lines.map((line) => line.split(" ")[1])).toEqual(
    ["a", "b"].flatMap((part) => Array.from({ length: 50 }, (_, at) => part + at)),
  );
  expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z a0$/);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("a file that has grown is set aside, and no more than one is kept", async () => {
  const path = join(folder, "access.log");
  for (let at = 0; at < 20; at++) {
    await using log = await openAccessLog({ path, bytesMax: 100, warn });
    log.add(`line-${at}`);
  }
  const [now, before] = [await readFile(path, "utf8"), await readFile(`${path}.1`, "utf8")];
  expect(now.length + before.length).toBeLessThan(250);
  expect(before + now).toMatch(/line-17[^]*line-18[^]*line-19\n$/);
});

test("what the disk does not take costs lines, and is told of once", async () => {
  const path = join(folder, "access.log");
  const warned: string[] = [];
  await using log = await openAccessLog({ path, warn: (message) => warned.push(message) });
  await rm(folder, { recursive: true });
  for (let at = 0; at < 5; at++) {
    log.add("x".repeat(300_000));
    await log[Symbol.asyncDispose]();
  }
  for (let at = 0; at < 9; at++) log.add("x".repeat(300_000));
  await log[Symbol.asyncDispose]();
  expect(warned).toHaveLength(1);
  await expect(openAccessLog({ path: join(folder, "none", "a.log"), warn })).rejects.toThrow(/ENOENT/);
});

import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { keepBandwidth, keptBandwidth } from "./kept-bandwidth.ts";

test("what decoding has shown outlives the daemon, by key, for a month, and not without end", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "clusterd-kept-")), "cache", "decode.json");
  expect(await keptBandwidth(file, "a", 1e12)).toBeNull();
  await keepBandwidth(file, "a", 5e9, 1e12);
  await keepBandwidth(file, "a", 6e9, 1e12);
  await keepBandwidth(file, "b", 7e9, 1e12);
  expect([await keptBandwidth(file, "a", 1e12), await keptBandwidth(file, "b", 1e12)]).toEqual([6e9, 7e9]);
  expect(await keptBandwidth(file, "a", 1e12 + 31 * 24 * 3_600_000)).toBeNull();
  for (let index = 0; index < 40; index++) await keepBandwidth(file, `other ${index}`, 1e9, 1e12);
  expect(await keptBandwidth(file, "a", 1e12)).toBeNull();
  await writeFile(file, '[{"key":"a","bytesPerSecond":-1,"atMs":0}]');
  expect(await keptBandwidth(file, "a", 0)).toBeNull();
});

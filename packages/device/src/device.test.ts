import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PEAK_SHARE, tableBandwidth } from "./bandwidth-table.ts";
import { describeDevice, refreshFree } from "./describe-device.ts";
import { memoryBudget, parseMeminfo, parseVmStat, withinGroup } from "./memory.ts";
import { formatBytes, parseSize } from "./size.ts";

test("sizes as people write them", () => {
  expect(["8GB", "8 GiB", "500M", "1.5g", "100GB/s", "42"].map(parseSize)).toEqual([8e9, 8 * 1024 ** 3, 5e8, 1.5e9, 1e11, 42]);
  for (const wrong of ["", "GB", "-1GB", "8 parsecs", "1e99", "0"]) expect(() => parseSize(wrong)).toThrow(/not a size/);
  expect([0, 999, 8.2e9, 671e9, 1e12, 3753248].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "8.2 GB",
    "671 GB",
    "1.0 TB",
    "3.8 MB",
  ]);
});

test("memory by recorded outputs", () => {
  const memory = parseMeminfo("MemTotal:       24617788 kB\nMemFree:         1000 kB\nMemAvailable:   22617788 kB\n");
  expect(memory).toEqual({ totalBytes: 24617788 * 1024, freeBytes: 22617788 * 1024 });
  expect(withinGroup(memory, "9223372036854771712\n", "5")).toEqual(memory);
  expect(withinGroup(memory, "max\n", "5")).toEqual(memory);
  expect(withinGroup(memory, "1000000", "400000")).toEqual({ totalBytes: 1_000_000, freeBytes: 600_000 });
  expect(
    parseVmStat(
      "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:    100.\nPages inactive:   50.\nPages purgeable:  10.\n",
    ),
  ).toBe(160 * 16384);
});

test("the budget leaves a reserve and honours a cap", () => {
  const gib = 1024 ** 3;
  expect(memoryBudget(64 * gib, null)).toBe(Math.floor(64 * gib * 0.9));
  expect(memoryBudget(8 * gib, null)).toBe(7 * gib);
  expect(memoryBudget(2 * gib, null)).toBe(1.5 * gib);
  expect(memoryBudget(64 * gib, 10 * gib)).toBe(10 * gib);
});

test("chips by the table, the longer name first", () => {
  expect(tableBandwidth("Apple M4 Pro")).toBe(273e9 * PEAK_SHARE);
  expect(tableBandwidth("Apple M4")).toBe(120e9 * PEAK_SHARE);
  expect(tableBandwidth("NVIDIA GeForce RTX 3090 Ti")).toBe(1008e9 * PEAK_SHARE);
  expect(tableBandwidth("Some Processor")).toBeNull();
});

test("this machine describes itself, and says where its figures come from", async () => {
  const cacheDir = await mkdtemp(join(tmpdir(), "clusterd-device-"));
  const base = {
    memoryCapBytes: null,
    bandwidthBytesPerSecond: null,
    accelerators: [],
    cacheDir,
    signal: AbortSignal.timeout(20_000),
  };
  const device = await describeDevice(base);
  expect(device.memoryBytesBudget).toBeGreaterThan(0);
  expect(device.memoryBytesBudget).toBeLessThan(device.memoryBytesTotal);
  expect(["table", "probe"]).toContain(device.bandwidthSource);
  expect((await describeDevice(base)).bandwidthBytesPerSecond).toBe(device.bandwidthBytesPerSecond);
  const set = await describeDevice({ ...base, memoryCapBytes: 5e6, bandwidthBytesPerSecond: 7e9 });
  expect(set).toMatchObject({ memoryBytesBudget: 5e6, bandwidthBytesPerSecond: 7e9, bandwidthSource: "flag" });
  expect(refreshFree(device).memoryBytesFree).toBeGreaterThan(0);
});

import { describe, expect, test } from "vitest";
import { PEAK_SHARE, tableBandwidth } from "./bandwidth-table.ts";
import { budgetOf } from "./budget.ts";
import { describeAccelerator, describeDevice, refreshFree, withProbes } from "./describe-device.ts";
import { memoryBudget, parseMeminfo, parseVmStat, withinGroup } from "./memory.ts";
import { formatBytes, parseSize } from "./size.ts";
import { gpuLimit, parseWiredLimit, raiseCommand } from "./wired-limit.ts";

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

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

test("what sysctl says of the GPU's limit", () => {
  expect(["0\n", "57344\n", "", "sysctl: unknown oid 'iogpu.wired_limit_mb'\n", "-1\n"].map(parseWiredLimit)).toEqual([
    0,
    57344,
    null,
    null,
    null,
  ]);
});

describe("memory that a GPU shares with the processor", () => {
  const mac = { totalBytes: 64 * GIB, acceleratorBytes: 48 * GIB, unified: true, wiredLimitMb: 0, capBytes: null };

  test("is what the system lets it have; the setting that gives more is told", () => {
    const budget = budgetOf(mac);
    const all = Math.floor(64 * GIB * 0.9);
    expect(budget).toEqual({ memoryBytesBudget: 48 * GIB, raisable: { memoryBytes: all, wiredLimitMb: Math.floor(all / MIB) } });
    expect(raiseCommand(budget.raisable?.wiredLimitMb ?? 0)).toBe("sudo sysctl iogpu.wired_limit_mb=58982");
    // And so it is once the setting is made.
    const raised = budgetOf({ ...mac, wiredLimitMb: 58982 });
    expect(raised).toEqual({ memoryBytesBudget: 58982 * MIB, raisable: null });
    expect(budgetOf({ ...mac, wiredLimitMb: 60000 })).toEqual({ memoryBytesBudget: all, raisable: null });
  });

  test("is two thirds of a small machine's, three quarters of a larger one's, where the engine's word is old or none", () => {
    expect(gpuLimit(16 * GIB, 0, 0)).toBe(Math.floor((16 * GIB * 2) / 3));
    expect(gpuLimit(36 * GIB, 0, 0)).toBe(27 * GIB);
    expect(gpuLimit(64 * GIB, 0, 60 * GIB)).toBe(48 * GIB);
    expect(gpuLimit(64 * GIB, null, 48 * GIB)).toBe(48 * GIB);
    expect(gpuLimit(16 * GIB, 65536, 0)).toBe(16 * GIB);
  });

  test("is not raised against a person's cap, nor where the system has no such setting", () => {
    expect(budgetOf({ ...mac, capBytes: 40 * GIB })).toEqual({ memoryBytesBudget: 40 * GIB, raisable: null });
    expect(budgetOf({ ...mac, capBytes: 50 * GIB }).raisable).toEqual({ memoryBytes: 50 * GIB, wiredLimitMb: 51200 });
    expect(budgetOf({ ...mac, wiredLimitMb: null })).toEqual({ memoryBytesBudget: 48 * GIB, raisable: null });
  });

  test("is nothing a card of its own has, nor a machine without one", () => {
    expect(budgetOf({ ...mac, unified: false, acceleratorBytes: 24 * GIB })).toEqual({
      memoryBytesBudget: Math.floor(24 * GIB * 0.9),
      raisable: null,
    });
    expect(budgetOf({ ...mac, unified: false, acceleratorBytes: null }).memoryBytesBudget).toBe(Math.floor(64 * GIB * 0.9));
  });
});

describe("a device and its probes", () => {
  const base = { memoryCapBytes: null, bandwidthBytesPerSecond: null, accelerators: [] };
  const speed = { bytesPerSecond: 5e9, flopsPerSecond: 2e9 };

  test("this machine describes itself, and says where its figures come from", () => {
    const device = describeDevice(base);
    expect(device.memoryBytesBudget).toBeGreaterThan(0);
    expect(device.memoryBytesBudget).toBeLessThan(device.memoryBytesTotal);
    expect(device).toMatchObject({ bandwidthSource: "table", flopsPerSecond: null });
    const set = describeDevice({ ...base, memoryCapBytes: 5e6, bandwidthBytesPerSecond: 7e9 });
    expect(set).toMatchObject({ memoryBytesBudget: 5e6, bandwidthBytesPerSecond: 7e9, bandwidthSource: "flag" });
    expect(refreshFree(device).memoryBytesFree).toBeGreaterThan(0);
  });

  test("a probe replaces the table, but neither decoding nor a person's word", () => {
    const device = describeDevice(base);
    const probed = withProbes(device, [speed]);
    expect(probed).toMatchObject({ bandwidthBytesPerSecond: 5e9, bandwidthSource: "probe", flopsPerSecond: 2e9 });
    for (const bandwidthSource of ["decode", "flag"] as const) {
      const known = { ...device, bandwidthSource, bandwidthBytesPerSecond: 9e9 };
      expect(withProbes(known, [speed])).toMatchObject({ bandwidthBytesPerSecond: 9e9, bandwidthSource, flopsPerSecond: 2e9 });
    }
    expect(withProbes(device, [null])).toEqual(device);
    expect(withProbes(device, [])).toEqual(device);
  });

  test("each accelerator by its own probe, else by the table, else as the first", () => {
    const card = (name: string): { name: string; memoryBytes: number } => ({ name, memoryBytes: 8 * GIB });
    const device = describeDevice({
      ...base,
      accelerators: [card("Unheard of"), card("Unheard of"), card("NVIDIA GeForce RTX 3090")],
    });
    const probed = withProbes(device, [speed, { ...speed, bytesPerSecond: 6e9 }, null]);
    expect(describeAccelerator(probed, 0)).toMatchObject({ bandwidthBytesPerSecond: 5e9, bandwidthSource: "probe" });
    expect(describeAccelerator(probed, 1)).toMatchObject({ bandwidthBytesPerSecond: 6e9, bandwidthSource: "probe" });
    expect(describeAccelerator(probed, 2)).toMatchObject({
      bandwidthBytesPerSecond: 936e9 * PEAK_SHARE,
      bandwidthSource: "table",
    });
    expect(describeAccelerator(device, 1)?.bandwidthBytesPerSecond).toBe(device.bandwidthBytesPerSecond);
    expect(describeAccelerator(probed, 3)).toBeNull();
  });
});

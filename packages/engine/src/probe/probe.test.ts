import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findEngine } from "../build/ensure-engine.ts";
import { groupFolders, parseQuotaV1, parseQuotaV2, quotaOf } from "./cpu-quota.ts";
import { measureDevices, speedKey } from "./measure-devices.ts";
import { keepProbe, keptProbe } from "./probe-cache.ts";
import { parseProbe, probeArguments, runProbe } from "./run-probe.ts";

const GIB = 1024 ** 3;
const SAID =
  'load_backend: loaded CPU backend from libggml-cpu.so\n{"bytesPerSecond":{"fast":8000000000,"mean":2000000000,"rounds":9},"flopsPerSecond":{"fast":50000000000,"mean":12500000000,"rounds":7}}\n';

test("what a probe says: the best where the machine is free, the average where it is throttled", () => {
  expect(parseProbe(SAID, false)).toEqual({ bytesPerSecond: 8e9, flopsPerSecond: 50e9 });
  expect(parseProbe(SAID, true)).toEqual({ bytesPerSecond: 2e9, flopsPerSecond: 12.5e9 });
  for (const wrong of [
    "",
    "{",
    "{}",
    SAID.replace("8000000000", "0"),
    SAID.replace("8000000000", "1e30"),
    SAID.replace("8000000000", "inf"),
  ])
    expect(parseProbe(wrong, false), wrong).toBeNull();
});

test("a small machine is asked for little memory, a throttled one for many periods", () => {
  const base = { deviceId: null, threads: 3, throttled: false };
  expect(probeArguments({ ...base, memoryBytes: 64 * GIB })).toEqual(["CPU", "3", "256", "300"]);
  expect(probeArguments({ ...base, memoryBytes: 1 * GIB })).toEqual(["CPU", "3", "64", "300"]);
  expect(probeArguments({ ...base, memoryBytes: 64 * GIB, throttled: true, deviceId: "CUDA0" })).toEqual([
    "CUDA0",
    "3",
    "64",
    "1000",
  ]);
});

describe("CPU quotas", () => {
  test("the strictest of all groups counts; a group whose files are hidden is told from one without a limit", () => {
    const files = (found: Readonly<Record<string, string>>) => (path: string) =>
      found[path.replace("/sys/fs/cgroup/", "")] ?? null;
    const limit = (folder: string, quota: string) => ({
      [`${folder}/cpu.cfs_quota_us`]: quota,
      [`${folder}/cpu.cfs_period_us`]: "5000",
    });
    const v1 = "1:cpu:/outer/inner\n0::/\n";
    expect(quotaOf(v1, files({ ...limit("cpu/outer/inner", "4000"), ...limit("cpu/outer", "2500") }))).toBe(0.5);
    expect(quotaOf(v1, files({ ...limit("cpu/outer/inner", "-1"), ...limit("cpu/outer", "-1") }))).toBeNull();
    expect(quotaOf(v1, files({}))).toBe("hidden");
    expect(quotaOf("1:cpu:/\n0::/\n", files({}))).toBeNull();
    expect(quotaOf("0::/user.slice/a\n", files({ "user.slice/a/cpu.max": "50000 100000" }))).toBe(0.5);
    expect(quotaOf("0::/user.slice/a\n", files({}))).toBe("hidden");
  });

  test("of both versions of control groups", () => {
    expect(parseQuotaV1("25000\n", "100000\n")).toBe(0.25);
    expect(parseQuotaV1("-1\n", "100000\n")).toBeNull();
    expect(parseQuotaV1(null, null)).toBeNull();
    expect(parseQuotaV2("150000 100000\n")).toBe(1.5);
    expect(parseQuotaV2("max 100000\n")).toBeNull();
    expect(parseQuotaV2(null)).toBeNull();
  });

  test("of the group and all above it", () => {
    expect(groupFolders("12:memory:/a\n4:cpu,cpuacct:/host/b\n0::/c\n")).toEqual({
      v1: ["/sys/fs/cgroup/cpu/host/b", "/sys/fs/cgroup/cpu/host", "/sys/fs/cgroup/cpu"],
      v2: ["/sys/fs/cgroup/c", "/sys/fs/cgroup"],
    });
    expect(groupFolders("4:cpuset:/x\n").v1).toEqual([]);
  });
});

describe("results are kept", () => {
  const speed = { bytesPerSecond: 5e9, flopsPerSecond: 1e9, confirmed: false };

  test("by key, for a month, and not without end", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "clusterd-probe-")), "probes.json");
    expect(await keptProbe(file, "a", 1e12)).toBeNull();
    for (let index = 0; index < 70; index++) await keepProbe(file, `key ${index}`, speed, 1e12 + index);
    expect(await keptProbe(file, "key 69", 1e12)).toEqual(speed);
    expect(await keptProbe(file, "key 69", 1e12 + 31 * 24 * 3_600_000)).toBeNull();
    expect(await keptProbe(file, "key 0", 1e12)).toBeNull();
    expect((JSON.parse(await readFile(file, "utf8")) as unknown[]).length).toBe(64);
    await writeFile(file, "broken");
    expect(await keptProbe(file, "key 69", 1e12)).toBeNull();
  });

  test("another quota, thread count or engine is another key", () => {
    const base = { engine: { fingerprint: "f", rpcServer: "", devices: [] }, chip: "c", threads: 2 };
    const keys = [
      speedKey(base, null),
      speedKey(base, 0.5),
      speedKey(base, "hidden"),
      speedKey({ ...base, threads: 1 }, null),
      speedKey({ ...base, engine: { ...base.engine, fingerprint: "g" } }, null),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    // A quota that the threads cannot use up changes nothing.
    expect(speedKey(base, 2)).toBe(speedKey(base, null));
  });
});

test("the real probe measures this machine, and once more to be sure; then it is known", async () => {
  const engine = await findEngine();
  if (engine === null) throw new Error("no engine: run `npm start` first");
  const cacheFolder = await mkdtemp(join(tmpdir(), "clusterd-probe-"));
  const options = { engine, chip: "this", threads: 1, memoryBytes: 1 * GIB, cacheFolder, signal: AbortSignal.timeout(60_000) };
  const [first] = await measureDevices(options);
  expect(first?.bytesPerSecond).toBeGreaterThan(100e6);
  expect(first?.flopsPerSecond).toBeGreaterThan(100e6);
  expect(first?.confirmed).toBe(false);
  expect(await measureDevices(options)).toEqual([first]);
  const [second] = await measureDevices({ ...options, confirm: true });
  expect(second?.confirmed).toBe(true);
  expect(second?.bytesPerSecond).toBeGreaterThanOrEqual(first?.bytesPerSecond ?? Infinity);
  expect(await measureDevices({ ...options, confirm: true })).toEqual([second]);
}, 90_000);

test("an engine without a probe, and one that has not the device, tell nothing", async () => {
  const engine = await findEngine();
  if (engine === null) throw new Error("no engine: run `npm start` first");
  const base = { threads: 1, memoryBytes: 1 * GIB, throttled: false, signal: AbortSignal.timeout(60_000) };
  expect(await runProbe({ ...base, engine: { rpcServer: "/nowhere/ggml-rpc-server" }, deviceId: null })).toBeNull();
  expect(await runProbe({ ...base, engine, deviceId: "CUDA9" })).toBeNull();
}, 90_000);

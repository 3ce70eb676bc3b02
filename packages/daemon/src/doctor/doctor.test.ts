import { chmod, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { CHECKS } from "./checks.ts";
import { examine, judge, type DoctorReport } from "./examine.ts";
import type { Facts } from "./facts.ts";
import { networkFileSystem } from "./gather/home.ts";
import { wirelessPorts } from "./gather/network.ts";
import { cpuinfoFlags, procLimits } from "./gather/system.ts";
import { cluster, deployment, healthy, LINUX, link, MAC, node, WINDOWS } from "./testing/facts.ts";
import { FAULTS, slowStage } from "./testing/faults.ts";

const told = (facts: Partial<Facts>): DoctorReport => judge(facts, new Map());

test.each([
  ["Linux", LINUX],
  ["macOS", MAC],
  ["Windows", WINDOWS],
])("nothing is found of a good %s machine in a good cluster", (_, machine) => {
  const report = told(healthy(machine));
  expect(report.findings).toEqual([]);
  expect(report.checks.map(({ result }) => result)).toEqual(CHECKS.map(() => "fine"));
  expect(report.healthy).toBe(true);
});

describe("each check finds its own", () => {
  test.each(FAULTS)("%s (%s) %s", (name, level, words, facts) => {
    const { findings, checks } = told({ ...healthy(), ...facts });
    expect(findings.map(({ check }) => check)).toEqual([name]);
    const [found] = findings;
    expect(found).toMatchObject({ level, what: expect.stringMatching(words) as string });
    for (const text of [found?.where, found?.why, found?.next]) expect(text).toMatch(/\S/);
    expect(checks.find((check) => check.name === name)?.result).toBe(level);
  });

  test("and all of them are shown here", () => {
    expect(new Set(FAULTS.map(([name]) => name))).toEqual(new Set(CHECKS.map(({ name }) => name)));
  });
});

test("what is not a fault is not found", () => {
  const record = { pid: 7, api: "http://127.0.0.1:2573", startedAt: "then" };
  const running = { ...LINUX.daemon, alive: true, answers: true, record };
  const taken = LINUX.ports.map((port) => ({ ...port, state: "taken" as const }));
  // The daemon's own ports, its own memory, its firewall with others in sight.
  const own = {
    daemon: running,
    ports: taken,
    memory: { ...LINUX.memory, freeBytes: 1e9 },
    firewall: { active: "ufw" as const, othersSeen: true },
  };
  expect(told({ ...healthy(), ...own }).findings).toEqual([]);
  // A link that has just come, and a stage that takes its time.
  const fresh = node("b", { links: [link("a", { measuredAt: cluster().nowMs - 1_000 })] });
  expect(told({ ...healthy(), cluster: cluster([node("a"), fresh]) }).findings).toEqual([]);
  expect(
    told({ ...healthy(), cluster: cluster(undefined, { deployments: [deployment({ stages: [slowStage(19)] })] }) }).findings,
  ).toEqual([]);
});

test("hints alone leave it healthy; what is wrong comes first; what is not known is said, and judged by nobody", () => {
  const { cluster: _, ...alone } = healthy();
  const hinted = judge({ ...alone, interfaces: [] }, new Map());
  expect(hinted.healthy).toBe(true);
  expect(hinted.checks.filter(({ result }) => result === "skipped").map(({ name }) => name)).toContain("members");
  const both = told({
    ...healthy(),
    clock: { nowMs: LINUX.clock.nowMs, synchronised: false },
    home: { ...LINUX.home, mode: 0o777 },
  });
  expect([both.healthy, both.findings.map(({ level }) => level)]).toEqual([false, ["wrong", "hint"]]);
  const { disk: _disk, ...rest } = healthy();
  const unknown = judge(rest, new Map([["disk", "nothing was found out within 8 s"]]));
  expect(unknown.healthy).toBe(true);
  expect(unknown.checks.find(({ name }) => name === "disk")).toMatchObject({
    result: "unknown",
    why: expect.stringContaining("8 s") as string,
  });
});

property.prop([fc.subarray(Object.keys(healthy()) as (keyof Facts)[])])("whatever is known, every check answers", (known) => {
  const facts = Object.fromEntries(Object.entries(healthy()).filter(([key]) => known.includes(key as keyof Facts)));
  const report = judge(facts, new Map());
  expect(report.checks.map(({ result }) => result)).toEqual(
    CHECKS.map(({ needs }) => (needs.every((need) => known.includes(need)) ? "fine" : "skipped")),
  );
});

test("what systems print is read", () => {
  expect(cpuinfoFlags("processor\t: 0\nflags\t\t: fpu sse4_2 AVX2\n")).toEqual(["fpu", "sse4_2", "avx2"]);
  expect(cpuinfoFlags("processor\t: 0\nFeatures\t: fp asimd asimddp\n")).toContain("asimddp");
  expect(cpuinfoFlags("model name: x")).toBeNull();
  const limits =
    "Limit  Soft Limit  Hard Limit  Units\nMax processes             127235   127235   processes\nMax open files            1024     1048576  files\nMax address space         unlimited  unlimited  bytes\n";
  expect(procLimits(limits)).toEqual({ openFiles: 1_024, processes: 127_235, addressSpaceBytes: null });
  const ports =
    "\nHardware Port: Ethernet\nDevice: en0\nEthernet Address: aa\n\nHardware Port: Wi-Fi\nDevice: en1\nEthernet Address: bb\n";
  expect(wirelessPorts(ports)).toEqual(["en1"]);
  const mounts = "/dev/sda1 / ext4 rw 0 0\nnas:/h /home nfs4 rw 0 0\n/dev/sdb1 /home/me/disk ext4 rw 0 0\n";
  expect(networkFileSystem(mounts, "/home/me/.clusterd")).toBe("nfs4");
  expect(networkFileSystem(mounts, "/home/me/disk/h")).toBeNull();
  expect(networkFileSystem(mounts, "/homely")).toBeNull();
});

test("this machine is looked at without changing it, and a home that others may read is found", async () => {
  const home = join(await mkdtemp(join(tmpdir(), "clusterd-doctor-")), "home");
  const signal = new AbortController().signal;
  const look = (): Promise<DoctorReport> => examine({ home, signal, cluster: null, onProgress: () => undefined });
  const before = await look();
  expect(before.checks.filter(({ result }) => result === "unknown")).toEqual([]);
  expect(before.findings.filter(({ check }) => check === "home")).toEqual([]);
  await mkdir(home, { mode: 0o700 });
  await writeFile(join(home, "cluster.json"), "{}");
  await chmod(join(home, "cluster.json"), 0o644);
  if (process.platform !== "win32")
    expect((await look()).findings).toContainEqual(expect.objectContaining({ check: "home", where: join(home, "cluster.json") }));
});

test("what hangs costs what needs it, and an end is an end", async () => {
  const abort = new AbortController();
  const home = await mkdtemp(join(tmpdir(), "clusterd-doctor-"));
  const failing = await examine({
    home,
    signal: abort.signal,
    cluster: () => Promise.reject(new Error("no answer")),
    onProgress: () => undefined,
  });
  expect(failing.checks.find(({ name }) => name === "members")).toMatchObject({ result: "unknown", why: "no answer" });
  expect(failing.checks.find(({ name }) => name === "node")).toMatchObject({ result: "fine" });
  const hanging = examine({
    home,
    signal: abort.signal,
    cluster: () => new Promise(() => undefined),
    onProgress: () => undefined,
  });
  setTimeout(() => abort.abort(), 50);
  await expect(hanging).rejects.toThrow();
});

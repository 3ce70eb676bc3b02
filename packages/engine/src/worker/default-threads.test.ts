import { readFileSync } from "node:fs";
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { coresInCpuinfo, coresInSysctl } from "./cpu-cores.ts";
import { defaultThreads, threadsFor } from "./default-threads.ts";

const recorded = readFileSync(new URL("recorded/cpuinfo-xeon-2-vcpus.txt", import.meta.url), "utf8");

test("cores are counted by socket and core, hyper-threads once", () => {
  expect(coresInCpuinfo(recorded)).toBe(2);
  // The same processors as four hyper-threads, and as two sockets.
  expect(coresInCpuinfo(`${recorded}\n${recorded}`)).toBe(2);
  expect(coresInCpuinfo(`${recorded}\n${recorded.replaceAll(/^physical id\t: 0/gm, "physical id\t: 1")}`)).toBe(4);
});

test("where the system does not tell, nothing is made up", () => {
  expect(coresInCpuinfo("processor\t: 0\nBogoMIPS\t: 108.00\nCPU part\t: 0xd0b\n\nprocessor\t: 1\n")).toBe(0);
  expect(["10\n", "", "unknown oid\n", "0\n"].map(coresInSysctl)).toEqual([10, 0, 0, 0]);
});

test.prop([fc.integer({ min: 0, max: 256 }), fc.integer({ min: 1, max: 256 })])(
  "at least one, never more than may run, and one is left free",
  (cores, available) => {
    const threads = threadsFor(cores, available);
    expect(threads).toBeGreaterThanOrEqual(1);
    expect(threads).toBeLessThanOrEqual(available);
    if (available > 2) expect(threads).toBeLessThan(available);
  },
);

test("CLUSTERD_THREADS overrides, if it is a number", () => {
  const before = process.env["CLUSTERD_THREADS"];
  try {
    process.env["CLUSTERD_THREADS"] = "7";
    expect(defaultThreads()).toBe(7);
    process.env["CLUSTERD_THREADS"] = "many";
    const counted = defaultThreads();
    delete process.env["CLUSTERD_THREADS"];
    expect(defaultThreads()).toBe(counted);
  } finally {
    if (before === undefined) delete process.env["CLUSTERD_THREADS"];
    else process.env["CLUSTERD_THREADS"] = before;
  }
});

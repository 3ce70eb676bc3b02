import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { activityFromPs, activityFromStat, parseProcStat, processActivity } from "./process-activity.ts";

/** Recorded: a llama-server that computes with two threads, its own one waiting; a stopped rpc-server; a name that means harm. */
const WAITS =
  "26086 (llama-server) S 26080 26086 26086 0 -1 4194560 13310 0 2 0 212 31 0 0 20 0 9 0 7214411 237166592 4522 18446744073709551615 1 1 0 0 0 0 0 4096 81923 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";
const COMPUTES = WAITS.replace(") S ", ") R ");
const STOPPED =
  "25907 (ggml-rpc-server) T 25880 25907 25907 0 -1 4194304 2610 0 0 0 88 40 0 0 39 19 2 0 7213905 15564800 2985 18446744073709551615 1 1 0 0 0 0 0 4096 16384 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
const ODD = WAITS.replace("(llama-server)", "((a) R 1 (b c) T)");

describe("Linux's lines", () => {
  test("state and time are read past whatever the name is", () => {
    expect(parseProcStat(WAITS)).toEqual({ state: "S", cpuMs: 2430 });
    expect(parseProcStat(ODD)).toEqual({ state: "S", cpuMs: 2430 });
    expect(parseProcStat(STOPPED)).toEqual({ state: "T", cpuMs: 1280 });
  });

  test("what is no such line is nothing", () => {
    for (const text of ["", "1 (x)", "1 (x) S", "nonsense", "1 (x) 12 a b"]) expect(parseProcStat(text)).toBeNull();
    expect(activityFromStat("", [WAITS])).toBeNull();
  });

  test("one thread that would compute is enough; stopped is only what is stopped altogether", () => {
    expect(activityFromStat(WAITS, [WAITS, COMPUTES])).toEqual({ stopped: false, runnable: true, cpuMs: 2430 });
    expect(activityFromStat(WAITS, [WAITS, WAITS])).toEqual({ stopped: false, runnable: false, cpuMs: 2430 });
    expect(activityFromStat(STOPPED, [STOPPED, STOPPED])).toEqual({ stopped: true, runnable: false, cpuMs: 1280 });
    expect(activityFromStat(STOPPED, [STOPPED, WAITS])?.stopped).toBe(false);
    expect(activityFromStat(STOPPED, [])?.stopped).toBe(true);
  });
});

test("macOS's ps: state and time, of minutes, hours and days", () => {
  expect(activityFromPs("Ss     0:12.34\n")).toEqual({ stopped: false, runnable: false, cpuMs: 12_340 });
  expect(activityFromPs("R+    61:00.05")).toEqual({ stopped: false, runnable: true, cpuMs: 3_660_050 });
  expect(activityFromPs("T      0:00.00")).toEqual({ stopped: true, runnable: false, cpuMs: 0 });
  expect(activityFromPs("SN   1-02:03:04")).toEqual({ stopped: false, runnable: false, cpuMs: 93_784_000 });
  for (const text of ["", "S", "0:12.34", "error: no such process"]) expect(activityFromPs(text)).toBeNull();
});

describe.runIf(process.platform === "linux")("a process of this machine", () => {
  test("that computes is runnable, stopped it is stopped, and gone it is nothing", async () => {
    const child = spawn(process.execPath, ["-e", "console.log(1); for (;;);"], { stdio: ["ignore", "pipe", "ignore"] });
    const pid = child.pid ?? 0;
    await once(child.stdout, "data");
    const seen = await processActivity(pid);
    expect([seen?.stopped, seen?.runnable]).toEqual([false, true]);
    child.kill("SIGSTOP");
    // The kernel stops its threads one after the other.
    while ((await processActivity(pid))?.stopped === false) await new Promise((done) => setTimeout(done, 10));
    expect((await processActivity(pid))?.cpuMs).toBeGreaterThanOrEqual(seen?.cpuMs ?? Number.NaN);
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    expect(await processActivity(pid)).toBeNull();
  });
});

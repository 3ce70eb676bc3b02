import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { isRunning } from "../../../../test/fixtures/engines/running.ts";
import { nodeGuard } from "./guard-node.ts";
import { posixGuard } from "./guard-posix.ts";
import type { Guard } from "./guard.ts";
import { superviseProcess, type ProcessSpec, type SupervisedProcess } from "./supervise.ts";

const fixture = (name: string): string => fileURLToPath(new URL(`../../../../test/fixtures/engines/${name}`, import.meta.url));
const never = new AbortController().signal;

const gone = async (pid: number): Promise<void> => expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);

/** The guards, each under the name that the parent fixture takes: every shell there is here that can be `/bin/sh` somewhere. */
const shells = ["/bin/sh", "/bin/bash", "/bin/dash", "/bin/zsh", "/bin/ksh"].filter((shell) => existsSync(shell));
const guards: readonly { readonly name: string; readonly guard: Guard }[] = [
  ...shells.map((shell) => ({
    name: shell,
    guard: (command: string, args: readonly string[]) => posixGuard(command, args, shell),
  })),
  { name: "node", guard: nodeGuard },
];

/** No guard: for comparison. */
const bare: Guard = (command, args) => ({ command, args, stdio: ["pipe", "pipe", "pipe", "pipe"], lifeline: 3 });

describe.each(guards)("the contract of a guard: $name", ({ guard, name }) => {
  const start = (script: string, args: readonly string[] = [], more: Partial<ProcessSpec> = {}): SupervisedProcess =>
    superviseProcess({
      name: script,
      command: process.execPath,
      args: [fixture(script), ...args],
      isReady: (line) => line === "ready",
      start: { totalMs: 20_000, quietMs: 20_000 },
      guard,
      ...more,
    });

  test("the exit status is the program's, and so are its last words", async () => {
    const child = start("exits.mjs", ["3"]);
    expect(await child.ended).toEqual({ code: 3, signal: null, wanted: false });
    expect([...child.logTail].toSorted()).toEqual(["first", "last"]);
  });

  test.each(["SIGABRT", "SIGKILL", "SIGTERM"])("the signal that ended it is reported: %s", async (signal) => {
    expect(await start("exits.mjs", [signal]).ended).toEqual({ code: null, signal, wanted: false });
  });

  test("a missing program ends with 127 and is named", async () => {
    const child = superviseProcess({
      name: "the engine",
      command: "/nowhere/engine",
      args: [],
      isReady: () => true,
      start: { totalMs: 20_000, quietMs: 20_000 },
      guard: (command, args) => guard(command, args),
    });
    expect(await child.ended).toMatchObject({ code: 127, wanted: false });
  });

  test("SIGTERM ends a program that takes it", async () => {
    await using child = start("obeys.mjs");
    await child.whenReady(never);
    expect(await child.stop()).toEqual({ code: 0, signal: null, wanted: true });
  });

  test("its own word ends a program that has one", async () => {
    await using child = start("obeys.mjs", ["deaf"], { exitCommand: "exit", stopGraceMs: 20_000 });
    await child.whenReady(never);
    expect(await child.stop()).toEqual({ code: 7, signal: null, wanted: true });
  });

  test("SIGKILL ends a program that ignores SIGTERM", async () => {
    await using child = start("ignores-term.mjs", [], { stopGraceMs: 300 });
    await child.whenReady(never);
    expect(await child.stop()).toEqual({ code: null, signal: "SIGKILL", wanted: true });
    expect(child.logTail).toContain("ignored SIGTERM");
    await gone(child.pid);
  });

  test.each([
    { how: "is stopped", args: [] },
    { how: "ends by itself", args: ["5"] },
  ])("what the program started goes with it when it $how", async ({ args }) => {
    let grandchild = 0;
    await using child = start("leaves-grandchild.mjs", args, {
      onLine: (line) => {
        if (line.startsWith("grandchild ")) grandchild = Number(line.split(" ")[1]);
      },
    });
    await child.whenReady(never);
    if (args.length > 0) expect(await child.ended).toEqual({ code: 5, signal: null, wanted: false });
    else {
      expect(isRunning(grandchild)).toBe(true);
      await child.stop();
    }
    await gone(grandchild);
  });

  test.each(["SIGKILL", "SIGTERM"] as const)("nothing outlives a daemon that is ended by %s", async (signal) => {
    const daemon = spawn(process.execPath, [fixture("parent.ts"), name, process.execPath, fixture("leaves-grandchild.mjs")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pids: number[] = [];
    for await (const line of createInterface({ input: daemon.stdout })) {
      if (/^(grand)?child /.test(line)) pids.push(Number(line.split(" ")[1]));
      if (line === "ready") break;
    }
    expect(pids.map(isRunning)).toEqual([true, true]);
    daemon.kill(signal);
    for (const pid of pids) await gone(pid);
  });
});

test("the guard of this platform's shell ignores SIGPIPE for the program", { skip: process.platform === "win32" }, async () => {
  const script = "kill -PIPE $$; echo survived";
  const spec = { name: "pipe", args: ["-c", script], isReady: () => true, start: { totalMs: 20_000, quietMs: 20_000 } };
  const guardedChild = superviseProcess({ ...spec, command: "/bin/sh", guard: posixGuard });
  expect(await guardedChild.ended).toMatchObject({ code: 0 });
  expect(guardedChild.logTail).toEqual(["survived"]);
  // The control: without it, the same script ends by the signal.
  expect(await superviseProcess({ ...spec, command: "/bin/sh", guard: bare }).ended).toMatchObject({ signal: "SIGPIPE" });
});

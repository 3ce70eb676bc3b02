import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { LINE_LENGTH_MAX, TAIL_LINES_MAX } from "./log-tail.ts";
import { superviseProcess } from "./supervise.ts";

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const gone = async (pid: number): Promise<void> => expect.poll(() => alive(pid), { timeout: 5000 }).toBe(false);

test("reports the exit status and the last words of a process", async () => {
  const child = superviseProcess({ name: "echo", command: "/bin/sh", args: ["-c", "echo first; echo last >&2; exit 3"] });
  expect(await child.ended).toEqual({ code: 3, signal: null, wanted: false });
  expect(child.logTail).toEqual(["first", "last"]);
});

test("reports the signal that ended a process", async () => {
  const child = superviseProcess({ name: "abort", command: "/bin/sh", args: ["-c", "kill -ABRT $$"] });
  expect(await child.ended).toMatchObject({ signal: "SIGABRT", wanted: false });
});

test("stops a process that ignores SIGTERM, and what it started", async () => {
  let grandchild = 0;
  const child = superviseProcess({
    name: "stubborn",
    command: "/bin/sh",
    args: ["-c", "trap '' TERM; sleep 1000 & echo pid $!; while :; do sleep 1; done"],
    graceMs: 200,
    onLine: (line) => (grandchild = Number(line.split(" ")[1])),
  });
  await expect.poll(() => grandchild, { timeout: 5000 }).toBeGreaterThan(0);
  expect(alive(grandchild)).toBe(true);
  await child[Symbol.asyncDispose]();
  expect(await child.ended).toMatchObject({ signal: "SIGKILL", wanted: true });
  await gone(grandchild);
});

test("keeps a bounded tail of a flood and makes control characters visible", async () => {
  const script = `printf '\\033[31mred\\n'; head -c 20000 /dev/zero | tr '\\0' x; echo; i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done`;
  const seen: string[] = [];
  const child = superviseProcess({ name: "flood", command: "/bin/sh", args: ["-c", script], onLine: (line) => seen.push(line) });
  await child.ended;
  await expect.poll(() => seen.length).toBe(1002);
  expect(seen[0]).toBe("\\x1b[31mred");
  expect(seen[1]).toHaveLength(LINE_LENGTH_MAX);
  expect(child.logTail).toHaveLength(TAIL_LINES_MAX);
  expect(child.logTail.at(-1)).toBe("999");
});

test("a child does not outlive a parent that is killed", async () => {
  const parentScript = `
    import { superviseProcess } from ${JSON.stringify(fileURLToPath(new URL("./supervise.ts", import.meta.url)))};
    const child = superviseProcess({ name: "sleeper", command: "/bin/sleep", args: ["1000"] });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", parentScript], { stdio: ["ignore", "pipe", "inherit"] });
  const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(chunk.toString());
  expect(alive(pid)).toBe(true);
  parent.kill("SIGKILL");
  await gone(pid);
});

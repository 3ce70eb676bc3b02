import { describe, expect, test } from "vitest";
import { runCommand } from "./command.ts";

describe("a command", () => {
  test("gives its exit code and its lines", async () => {
    const lines: string[] = [];
    const result = await runCommand("sh", ["-c", "echo one; echo two >&2; exit 3"], { onLine: (line) => lines.push(line) });
    expect(result.code).toBe(3);
    expect(lines.sort()).toEqual(["one", "two"]);
  });

  test("ends with all it started when told to stop", async () => {
    const stop = new AbortController();
    let grandchild = 0;
    const running = runCommand("sh", ["-c", "sleep 600 & echo $!; wait"], {
      signal: stop.signal,
      onLine: (line) => {
        grandchild = Number(line);
        stop.abort();
      },
    });
    // It settles only when nobody holds its output any more, the grandchild included.
    await expect(running).rejects.toThrow(/abort/i);
    expect(grandchild).toBeGreaterThan(0);
  });

  test("that is not there is an error, not a result", async () => {
    await expect(runCommand("/nowhere/nothing", [])).rejects.toMatchObject({ code: "ENOENT" });
  });
});

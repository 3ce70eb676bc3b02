import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { planOffline } from "@clusterd/daemon/offline";
import { afterAll, expect, test } from "vitest";
import { plain } from "../text/style.ts";
import { planLines } from "./plan-view.ts";

const docs = (path: string): string => fileURLToPath(new URL(`../../../../docs/${path}`, import.meta.url));

const home = await mkdtemp(join(tmpdir(), "clusterd-example-"));
afterAll(() => rm(home, { recursive: true, force: true }));

test("the worked example in docs/planning.md is what the planner says", async () => {
  const page = await readFile(docs("planning.md"), "utf8");
  const command = "$ clusterd plan deepseek-r1:IQ4_XS --nodes docs/examples/eight-mac-minis.json --ctx 8192\n";
  const shown = page.slice(page.indexOf(command) + command.length).split("\n");
  const plan = await planOffline({
    ref: "deepseek-r1:IQ4_XS",
    inventoryFile: docs("examples/eight-mac-minis.json"),
    home,
    ctx: 8192,
    signal: AbortSignal.timeout(60_000),
  });
  const now = planLines(plan, plain);
  // Model, speed and range; then every stage by machine and layers.
  expect(shown.slice(0, 2)).toEqual(now.slice(0, 2));
  const stages = (lines: readonly string[]): string[] => lines.slice(4, 12).map((line) => line.split(/ [█░]/u)[0] ?? "");
  expect(stages(shown)).toEqual(stages(now));
});

import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
/** A package imports only those before it. */
const RANKS = ["wire", "mesh", "device", "catalog", "planner", "engine", "gateway", "dashboard", "daemon", "cli"];
const LINES_MAX = 300;
/** Over the wall, each still one thing: the composition of a node, and the mesh's one conversation. */
const LONG: ReadonlySet<string> = new Set(["packages/daemon/src/run-daemon.ts", "packages/mesh/src/start-mesh.ts"]);

interface Source {
  readonly path: string;
  readonly text: string;
}

function sources(folder: string): Source[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ["node_modules", "dist", "recorded"].includes(entry.name) ? [] : sources(path);
    return /\.tsx?$/.test(entry.name) ? [{ path: relative(ROOT, path), text: readFileSync(path, "utf8") }] : [];
  });
}

/** What breaks the rules of the house in one file. */
function faults({ path, text }: Source): string[] {
  const found: string[] = [];
  const own = path.split("/")[1] ?? "";
  const isTest = /\.test\.ts$|\/testing\//.test(path);
  for (const [, name] of text.matchAll(/from "@clusterd\/([a-z]+)/g)) {
    if (name !== undefined && RANKS.indexOf(name) >= RANKS.indexOf(own) && name !== own)
      found.push(`${path} imports ${name}, which is not below ${own}`);
  }
  if (own === "planner" && !isTest && /from "node:|Math\.random|Date\.now|new Date|performance\./.test(text))
    found.push(`${path}: the planner is pure`);
  if (basename(path) === "index.ts" && /^export \*/m.test(text)) found.push(`${path} exports without names`);
  if (/^export default/m.test(text) && !path.endsWith(".config.ts")) found.push(`${path} has a default export`);
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config)?\.tsx?$/.test(basename(path))) found.push(`${path} is not kebab-case`);
  if (/^(utils?|helpers?|common|types)\.tsx?$/.test(basename(path))) found.push(`${path} says nothing by its name`);
  if (/^\s*(export )?(const )?enum /m.test(text)) found.push(`${path} has an enum`);
  if (text.split("\n").length - 1 > LINES_MAX && !isTest && !LONG.has(path)) found.push(`${path} is over ${LINES_MAX} lines`);
  return found;
}

test("the house keeps its rules", () => {
  const all = sources(join(ROOT, "packages"));
  expect(all.length).toBeGreaterThan(100);
  expect(all.flatMap(faults)).toEqual([]);
});

describe("and each rule can be broken", () => {
  test.each([
    ["packages/wire/src/a.ts", 'import { x } from "@clusterd/mesh";', "not below wire"],
    ["packages/planner/src/a.ts", 'import { x } from "node:fs";', "pure"],
    ["packages/mesh/src/index.ts", 'export * from "./a.ts";', "without names"],
    ["packages/mesh/src/a.ts", "export default 1;", "default export"],
    ["packages/mesh/src/camelCase.ts", "", "kebab-case"],
    ["packages/mesh/src/utils.ts", "", "says nothing"],
    ["packages/mesh/src/a.ts", "export enum A {}", "enum"],
    ["packages/mesh/src/a.ts", "\n".repeat(LINES_MAX + 2), "over 300"],
  ])("%s", (path, text, fault) => {
    expect(faults({ path, text }).join()).toContain(fault);
    expect(faults({ path: "packages/mesh/src/good-name.ts", text: 'import { x } from "@clusterd/wire";' })).toEqual([]);
  });
});

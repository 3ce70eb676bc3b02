import { join, resolve, sep, win32 } from "node:path";
import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { expect, test } from "vitest";
import { pullPath } from "./pull/pull-path.ts";
import { parseLedger, createLedger } from "./pull/chunk-ledger.ts";
import { chooseFiles, modelsAmong } from "./remote/choose-files.ts";
import { parseHubRef } from "./remote/hub-ref.ts";
import { parseListing } from "./remote/list-repository.ts";
import { parseBlockMap } from "./shards/block-map.ts";
import { partName } from "./split-parts.ts";

const runs = { numRuns: 3000 };
/** Gives what is given, or null where it was refused in words. */
function orRefused<Value>(work: () => Value): Value | null {
  try {
    return work();
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
    return null;
  }
}

const nasty = fc.constantFrom(
  ...[
    "..",
    ".",
    "",
    "~",
    "a",
    "x.gguf",
    "m-Q4_K_M.gguf",
    "m-00001-of-00003.gguf",
    "C:",
    "C:x",
    "\\\\srv\\share",
    "..\\up",
    "a:b",
    "x.gguf:ads",
  ],
  ...[
    "con",
    "CON.gguf",
    "nul",
    "aux.txt",
    "COM1",
    "com¹",
    "LPT9.x",
    "CONIN$",
    "conout$.gguf",
    "x.",
    "x ",
    "...",
    ". .",
    "%2e%2e",
    "..%2f",
    "\u0000",
    "a\u0000b",
  ],
  ...["\n", "\u202Egguf.exe", "ａ", "﹒﹒", "／", "\uD800", "é", "e\u0301", "?", "*", "<", "|", '"', "x".repeat(300)],
);
const part = fc.oneof(nasty, fc.string({ maxLength: 12 }), fc.string({ unit: "binary", maxLength: 12 }));
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));

property.prop([path, path], runs)("a pulled file's place is in its folder, on every system, or is refused", (repo, file) => {
  const place = orRefused(() => pullPath("/m/models", repo, file));
  if (place === null) return;
  const inside = join("/m/models", sep);
  expect(resolve(place)).toBe(place);
  expect(place.startsWith(inside)).toBe(true);
  expect(place.length).toBeGreaterThan(inside.length);
  // The same on Windows: no drive, no share, no stream, no device, nothing that it would strip.
  const there = win32.resolve("D:\\models", ...place.slice(inside.length).split("/"));
  expect(there.startsWith("D:\\models\\")).toBe(true);
  for (const name of there.slice("D:\\models\\".length).split("\\")) {
    // oxlint-disable-next-line no-control-regex
    expect(name).not.toMatch(/[<>:"|?*\u0000-\u001F]|[. ]$/u);
    expect(name.split(".")[0]?.trim()).not.toMatch(/^(?:con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$)$/iu);
  }
});

property.prop(
  [
    fc.oneof(
      path,
      fc.tuple(path, path, path).map(([a, b, c]) => `hf:${a}:${b}@${c}`),
      fc.string({ maxLength: 300 }),
    ),
  ],
  runs,
)("a reference names a repository, and nothing that leads out of it, or is refused", (ref) => {
  const found = orRefused(() => parseHubRef(ref));
  if (found === null) return;
  expect(found.repo).toMatch(/^[\w][\w.-]*\/[\w][\w.-]*$/u);
  expect(orRefused(() => pullPath("/m", found.repo, "x.gguf"))).not.toBe("");
  expect(found.revision.split("/")).not.toContain("..");
  expect(`${found.repo}${found.revision}${found.quantisation ?? ""}`).not.toMatch(/[\s?#%\\]/u);
});

const anything = fc.anything({ withNullPrototype: false, maxDepth: 3 });
const listing = fc.oneof(
  fc.record(
    {
      sha: fc.oneof(fc.constantFrom("0123abcd", "x", "../..", "0".repeat(65)), anything),
      siblings: fc.oneof(
        anything,
        fc.array(
          fc.oneof(
            anything,
            fc.record(
              {
                rfilename: fc.oneof(path, anything),
                size: fc.oneof(fc.constantFrom(0, -1, 2 ** 53, 1.5, 1e300, "5", 10), anything),
                lfs: fc.oneof(
                  anything,
                  fc.record({ sha256: fc.oneof(fc.constantFrom("a".repeat(64), "A".repeat(64), "../x"), anything) }),
                ),
              },
              { requiredKeys: [] },
            ),
          ),
          { maxLength: 8 },
        ),
      ),
    },
    { requiredKeys: [] },
  ),
  anything,
);
property.prop([listing, fc.option(fc.string({ maxLength: 8 }))], runs)(
  "a hub's listing has files with plain names, sizes and digests, or is none; models are chosen from it, or refused",
  (json, wanted) => {
    const text = JSON.stringify(json, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value)) ?? "";
    const found = orRefused(() => parseListing(text));
    expect(parseListing(text.slice(0, -1))).toBeNull();
    if (found === null) return;
    expect(found.commit).toMatch(/^[0-9a-f]{7,64}$/u);
    for (const file of found.files) {
      expect(file.path.split("/").some((name) => ["", ".", ".."].includes(name))).toBe(false);
      // oxlint-disable-next-line no-control-regex
      expect(file.path).not.toMatch(/[\u0000-\u001F\\]/u);
      expect(file.bytes === null || (Number.isSafeInteger(file.bytes) && file.bytes >= 0)).toBe(true);
      expect(file.sha256 ?? "a".repeat(64)).toMatch(/^[0-9a-f]{64}$/u);
    }
    modelsAmong(found.files);
    const chosen = orRefused(() => chooseFiles("o/r", found.files, wanted));
    expect(chosen?.files.every((file) => found.files.includes(file)) ?? true).toBe(true);
  },
);

property.prop(
  [
    fc.oneof(
      path,
      fc
        .tuple(fc.string({ maxLength: 9 }), fc.string({ maxLength: 6 }), fc.string({ maxLength: 6 }))
        .map(([a, b, c]) => `${a}-${b}-of-${c}.gguf`),
      fc
        .tuple(fc.nat(120_000), fc.nat(120_000))
        .map(([a, b]) => `m-${String(a).padStart(5, "0")}-of-${String(b).padStart(5, "0")}.gguf`),
    ),
  ],
  runs,
)("a name says which part of how many, or nothing", (name) => {
  const found = partName(name);
  if (found === null) return;
  expect(found.number >= 1 && found.number <= found.count && found.count <= 1024).toBe(true);
});

const json = fc.oneof(fc.json({ maxDepth: 3 }), fc.string({ maxLength: 60 }));
property.prop(
  [fc.nat(5000), fc.integer({ min: 1, max: 900 }), json, fc.base64String({ maxLength: 80 }), fc.base64String({ maxLength: 400 })],
  runs,
)("a record of chunks that others have written is one of this file, or none", (bytes, chunkBytes, other, done, sums) => {
  const fileBytes = bytes + 1;
  expect(parseLedger(other, "it", fileBytes, chunkBytes)).toBeNull();
  const text = JSON.stringify({ version: 2, identity: "it", fileBytes, chunkBytes, done, sums });
  const ledger = parseLedger(text, "it", fileBytes, chunkBytes);
  if (ledger !== null)
    expect(
      ledger.doneBytes + ledger.missing().reduce((sum, chunk) => sum + ledger.range(chunk)[1] - ledger.range(chunk)[0] + 1, 0),
    ).toBe(fileBytes);
  const own = createLedger(fileBytes, chunkBytes).text("it");
  expect(parseLedger(own, "it", fileBytes, chunkBytes)?.doneBytes).toBe(0);
});

property.prop(
  [
    fc.nat(2000),
    fc.oneof(
      anything,
      fc.record({
        count: fc.oneof(fc.nat(2000), anything),
        present: fc.oneof(fc.base64String({ maxLength: 400 }), anything),
        digests: fc.oneof(fc.base64String({ maxLength: 4000 }), anything),
      }),
    ),
  ],
  runs,
)("a map of blocks that others have written knows what each block is that it says is there, or is none", (count, value) => {
  const map = parseBlockMap(value, count);
  if (map === null) return;
  for (let block = 0; block < count; block++) if (map.has(block)) expect(map.digest(block)).toMatch(/^[0-9a-f]{64}$/u);
});

test("no more than it may is decoded of a map", () => {
  const before = process.memoryUsage().rss;
  const digests = "A".repeat(50_000_000);
  expect(parseBlockMap({ count: 8, present: "AA==", digests }, 8)).toBeNull();
  expect(parseBlockMap({ count: 2 ** 40, present: "", digests: "" }, 2 ** 40)).toBeNull();
  expect(process.memoryUsage().rss - before).toBeLessThan(120_000_000);
});

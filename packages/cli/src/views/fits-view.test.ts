import type { FitsReport } from "@clusterd/daemon/offline";
import type { Inventory } from "@clusterd/wire";
import { expect, test } from "vitest";
import { plain } from "../text/style.ts";
import { fitsLines } from "./fits-view.ts";

const inventory: Inventory = {
  nodes: [
    { name: "a", memoryBytes: 8e9, bandwidthBytesPerSecond: 1e11, canHead: true },
    { name: "b", memoryBytes: 4e9, bandwidthBytesPerSecond: 1e11, canHead: true },
  ],
  links: { rttMs: 1, bytesPerSecond: 1e8, pairs: [] },
};

const fitting = {
  model: "middle-14b",
  parameters: 14.2e9,
  quantisation: "Q4_K_M",
  bytes: 9e9,
  tokensPerSecond: 7.5,
  low: 6,
  high: 9,
  msPerToken: 133,
  useful: true,
  nodes: ["a", "b"],
  head: "a",
  context: 8192,
  memoryBytes: 10e9,
  others: ["IQ4_XS", "Q3_K_M"],
};

const missing = (model: string, shortByBytes: number) => ({ model, parameters: 1e12, quantisation: "Q2_K", shortByBytes });

test("every model that fits is a line, slow ones are marked, what does not fit is summed up nearest first", () => {
  const report: FitsReport = {
    fits: [fitting, { ...fitting, model: "slow-13b", tokensPerSecond: 0.4, useful: false, others: [] }],
    doesNotFit: [
      ...["h", "g", "f", "e", "d", "c"].map((name, index) => missing(name, (9 - index) * 1e10)),
      missing("nearest", 5e8),
      missing("odd", 0),
    ],
  };
  const lines = fitsLines(report, inventory, plain);
  expect(lines[0]).toBe("2 well-known models on 2 nodes with 12.0 GB for models");
  expect(lines.find((line) => line.startsWith("middle-14b"))).toMatch(
    /14\.2B\s+Q4_K_M\s+9\.0 GB\s+7\.5\s+6\.0–9\.0\s+2\s+10\.0 GB\s+8192\s+2 others/u,
  );
  expect(lines.find((line) => line.startsWith("slow-13b"))).toContain("~0.4");
  expect(lines).toContain("1 model marked ~ would be slower than a token per second.");
  const text = lines.join("\n");
  expect(text).toContain("Do not fit: odd (Q2_K: not in pieces that fit), nearest (Q2_K: 500 MB short)");
  expect(text).toContain("and 2 larger ones.");
});

test("where nothing fits that is said", () => {
  const lines = fitsLines({ fits: [], doesNotFit: [missing("nearest", 5e8)] }, inventory, plain);
  expect(lines[0]).toBe("No model of the catalogue fits: 2 nodes with 12.0 GB for models.");
  expect(lines.at(-1)).toContain("500 MB short");
});

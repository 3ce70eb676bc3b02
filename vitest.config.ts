import { availableParallelism } from "node:os";
import { defineConfig, type ViteUserConfig } from "vitest/config";

/** Test files at once. Many of them wait for processes and sockets, so that two cores have work for three. */
const UNIT_FILES_MAX: number = Math.max(3, availableParallelism());
/** Every cluster of a test has network namespaces, ports and homes of its own; each has up to four daemons with their engines. */
const CLUSTER_FILES_MAX = 2;

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "scripts/**/*.test.ts", "test/*.test.ts"],
          // A busy machine may be ten times slower than a quiet one: what hangs is still found.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll: { timeout: 30_000 } },
          maxWorkers: UNIT_FILES_MAX,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          expect: { poll: { timeout: 30_000 } },
          maxWorkers: CLUSTER_FILES_MAX,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "clients",
          include: ["test/clients/**/*.test.ts"],
          // One cluster for all of them.
          globalSetup: ["test/clients/harness/cluster-setup.ts"],
          // One process, so that what many of them import is read once.
          isolate: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll: { timeout: 30_000 } },
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

export default config;

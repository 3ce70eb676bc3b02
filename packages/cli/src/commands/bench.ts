import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterdError, type ClusterState, type DeploymentView } from "@clusterd/wire";
import type { Client } from "../api/client.ts";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle, value, whole } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import { runBench, type BenchResult } from "../bench/run-bench.ts";
import type { Context } from "../context.ts";
import { absoluteRef, findDeployments } from "../model-ref.ts";
import { bar, percent } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import { benchLines } from "../views/bench-view.ts";
import { awaitReady } from "./await-deployment.ts";

const ROUNDS_DEFAULT = 3;
const LENGTHS_MAX = 8;
const LENGTH_MAX = 1_000_000;
const BAR_CELLS = 20;
/** After an interruption as well. */
const UNLOAD_MS_MAX = 60_000;
const UNLOAD_AGAIN_MS = 1_000;

function lengths(given: string, flag: string): readonly number[] {
  const all = given.split(",").map((part) => (/^\d{1,7}$/.test(part.trim()) ? Number(part) : 0));
  if (all.length > LENGTHS_MAX || all.some((length) => length < 1 || length > LENGTH_MAX))
    throw usageError(`${flag} takes up to ${LENGTHS_MAX} lengths in tokens, like 128,512; it was given "${given}".`);
  return [...new Set(all)].toSorted((a, b) => a - b);
}

export const benchCommand: Command = command({
  name: "bench",
  summary: "measure how fast deployed models answer, beside what was predicted",
  about:
    "Prompts of several lengths, then answers one by one and several at once, in rounds that take turns, through this node as any client would. " +
    "The texts are random words: speculation guesses few of them, and nothing is found in a cache. A model that is not deployed is loaded " +
    "for it, and taken off afterwards; Ctrl-C as well leaves nothing loaded that was not. Says so where others were served meanwhile.",
  positionals: [
    { name: "MODEL", required: false, summary: "its id, alias or REF (default: what is deployed)", completes: "file" },
  ],
  flags: {
    rounds: whole("N", `how many (default ${ROUNDS_DEFAULT})`, { min: 1, max: 100 }),
    prompts: value("N,…", "lengths of the prompts, in tokens (default 128,512,2048, as far as they fit)", lengths),
    tokens: whole("N", "length of each answer (default 64)", { min: 2, max: 10_000 }),
    streams: whole("N", "how many answers at once besides one (default: as many as there are slots, up to 4)", {
      min: 1,
      max: 64,
    }),
    keep: toggle("leave a model loaded that was loaded for this"),
  },
  examples: [
    ["clusterd bench", "what is deployed"],
    ["clusterd bench demo --rounds 5 --json", "figures for programs"],
  ],
  async run(context, { args: [ref], flags }) {
    const { terminal, signal } = context;
    const client = await findDaemon(context.home, signal);
    const wish = { prompts: flags.prompts ?? null, tokens: flags.tokens ?? null, streams: flags.streams ?? null };
    const measure = async (deployments: readonly DeploymentView[], state: ClusterState): Promise<BenchResult> => {
      const result = await runBench({
        ...{ client, state, deployments, wish, signal, rounds: flags.rounds ?? ROUNDS_DEFAULT, random: seeded() },
        onProgress: ({ done, of, what }) =>
          terminal.progress(`${bar(done / of, BAR_CELLS)} ${percent(done / of)}  ${what}`, `measuring ${what} …`),
      });
      terminal.clearProgress();
      return result;
    };
    try {
      const results = await (ref === undefined
        ? benchDeployed(await client.state(), measure, (line) => terminal.say(line))
        : benchOne(context, client, absoluteRef(ref, context.cwd), flags.keep, measure));
      const state = await client.state();
      if (context.json) terminal.printJson({ models: results });
      else
        for (const [index, result] of results.entries())
          terminal.print([...(index === 0 ? [] : [""]), ...benchLines(result, state, terminal.style)]);
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new ClusterdError("interrupted", "The measurement was interrupted: there are no figures.", { cause: error });
    } finally {
      terminal.clearProgress();
    }
  },
});

type Measure = (deployments: readonly DeploymentView[], state: ClusterState) => Promise<BenchResult>;

/** Numbers of no meaning, others at every run. */
function seeded(): () => number {
  let state = randomBytes(4).readUInt32LE();
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ready = (deployments: readonly DeploymentView[]): readonly DeploymentView[] =>
  deployments.filter((deployment) => deployment.state === "ready");

async function benchDeployed(
  state: ClusterState,
  measure: Measure,
  say: (line: string) => void,
): Promise<readonly BenchResult[]> {
  const models = [...new Set(ready(state.deployments).map(({ model }) => model))];
  if (models.length === 0)
    throw new ClusterdError("not_found", "Nothing is deployed that could be measured.", {
      next: "Deploy a model (clusterd load REF --wait), or name one to be loaded for this: clusterd bench demo",
    });
  const results: BenchResult[] = [];
  for (const model of models) {
    try {
      results.push(
        await measure(
          ready(state.deployments).filter((view) => view.model === model),
          state,
        ),
      );
    } catch (error) {
      // One that makes embeddings has no tokens to measure; alone it is a failure.
      if (!(error instanceof ClusterdError) || error.code !== "unsupported" || models.length === 1) throw error;
      say(`${printable(model)} is left out: ${printable(error.message)}`);
    }
  }
  return results;
}

async function benchOne(
  context: Context,
  client: Client,
  ref: string,
  keep: boolean,
  measure: Measure,
): Promise<readonly BenchResult[]> {
  const before = findDeployments(await client.state(), ref).filter(({ state }) => state !== "failed");
  let model: string = before[0]?.model ?? ref;
  const isNew = before.length === 0;
  if (isNew)
    context.terminal.say(`${printable(ref)} is not deployed: it is loaded for this${keep ? "" : ", and unloaded afterwards"}.`);
  let isRefused = false;
  try {
    if (isNew)
      ({ model } = (await client.post("/cluster/v1/load", { model: ref }).catch((error: unknown) => {
        // What was broken off may have begun all the same.
        isRefused = !context.signal.aborted;
        throw error;
      })) as { model: string });
    if (ready(before).length === 0) await awaitReady(context, client, model);
    const state = await client.state();
    return [await measure(ready(findDeployments(state, model)), state)];
  } finally {
    if (isNew && !keep && !isRefused) await takeOff(context, model);
  }
}

/** Also after Ctrl-C, which ends everything else: what was loaded for a measurement goes with it. */
async function takeOff(context: Context, model: string): Promise<void> {
  context.terminal.progress(`unloading ${printable(model)} …`, `unloading ${printable(model)} …`);
  const client = await findDaemon(context.home, AbortSignal.timeout(UNLOAD_MS_MAX));
  // A load that was broken off may become known a moment later.
  for (let last = !context.signal.aborted; ; last = true) {
    try {
      await client.post("/cluster/v1/unload", { model });
      return;
    } catch (error) {
      const isUnknown = error instanceof ClusterdError && /not_found/.test(error.code);
      if (!isUnknown) throw error;
      if (last) return;
    }
    await sleep(UNLOAD_AGAIN_MS);
  }
}

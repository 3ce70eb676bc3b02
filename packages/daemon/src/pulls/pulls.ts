import type { Catalog, PulledModel, PullProgress } from "@clusterd/catalog";
import { asClusterdError, ClusterdError, parseHubName, type PullEvent, type PullView } from "@clusterd/wire";
import type { PullWhole } from "../swarm/pull-whole.ts";
import { createPullRate } from "./pull-rate.ts";

/** Models fetched at a time; whoever wants more is told so. */
const PULLS_MAX = 4;
/** Who follow one pull. */
const FOLLOWERS_MAX = 64;
const TELL_MS = 500;

export interface PullsConfig {
  /** From the hub, or from members that have the same. */
  readonly pull: Catalog["pull"];
  /** All of a model that members have between them. */
  readonly pullWhole: PullWhole;
  /** A model is here that was not. */
  modelsChanged(): void;
  /** What is being fetched has changed: at most a few times a second. */
  onChange(pulls: readonly PullView[]): void;
  log(message: string): void;
}

/** The models this node fetches. A pull goes on whoever stops watching it, and is one however many ask for it. */
export interface Pulls extends AsyncDisposable {
  /**
   * Begins a pull, or joins the one that is under way, and tells of it to its end. Leaving the loop ends the telling alone. `all`: a whole
   * copy of what members have, by any of its names.
   */
  follow(ref: string, options?: FollowOptions): AsyncGenerator<PullEvent>;
  /** What has come of it stays, and the next pull goes on from there; false where nothing of that name is fetched. */
  cancel(ref: string): boolean;
}

export interface FollowOptions {
  readonly all?: boolean;
  /** False: what lets the model see images stays on the hub. */
  readonly projector?: boolean;
}

interface Job {
  readonly abort: AbortController;
  readonly followers: Set<(event: PullEvent) => void>;
  view: PullView;
  ended: Promise<void>;
}

export function createPulls(config: PullsConfig): Pulls {
  const jobs = new Map<string, Job>();
  // However it is written; branches alone are told apart by their case.
  const keyOf = (ref: string): string => {
    const { repo, quantisation, revision } = parseHubName(ref) ?? { repo: ref.trim(), quantisation: null, revision: null };
    return `${repo}:${quantisation ?? ""}`.toLowerCase() + (revision === null || revision === "main" ? "" : `@${revision}`);
  };
  const told = (): void => config.onChange([...jobs.values()].map(({ view }) => view));

  function begin(ref: string, options: FollowOptions): Job {
    if (jobs.size >= PULLS_MAX) {
      throw new ClusterdError("queue_full", `This node fetches ${PULLS_MAX} models already.`, {
        next: `Wait for one of them, or cancel it: ${[...jobs.values()].map(({ view }) => view.ref).join(", ")}.`,
      });
    }
    const view: PullView = { ref, step: "listing", doneBytes: 0, totalBytes: 0, bytesPerSecond: 0, secondsLeft: null };
    const job: Job = { abort: new AbortController(), followers: new Set(), view, ended: Promise.resolve() };
    jobs.set(keyOf(ref), job);
    job.ended = run(ref, options, job);
    return job;
  }

  async function run(ref: string, { all = false, projector = true }: FollowOptions, job: Job): Promise<void> {
    const rate = createPullRate();
    const onProgress = ({ step, doneBytes, totalBytes }: PullProgress): void => {
      if (step === "fetching") rate.sample(doneBytes, performance.now());
      const bytesPerSecond = step === "fetching" ? rate.bytesPerSecond : 0;
      const secondsLeft = bytesPerSecond > 0 ? (totalBytes - doneBytes) / bytesPerSecond : null;
      job.view = { ref, step, doneBytes, totalBytes, bytesPerSecond, secondsLeft };
    };
    const tell = setInterval(() => {
      told();
      const { step, doneBytes, totalBytes, bytesPerSecond, secondsLeft } = job.view;
      send(job, { event: "progress", step, bytes: doneBytes, totalBytes, bytesPerSecond, secondsLeft });
    }, TELL_MS);
    let last: PullEvent;
    try {
      told();
      config.log(`fetching ${ref}`);
      const { id, path, bytes, sha256 }: PulledModel = await (all ? config.pullWhole : config.pull)(ref, {
        signal: job.abort.signal,
        onProgress,
        projector,
      });
      config.modelsChanged();
      config.log(`${ref} is here: ${path}`);
      last = { event: "done", model: id, path, bytes, sha256 };
    } catch (error) {
      const { code, message, next } = job.abort.signal.aborted
        ? new ClusterdError("interrupted", `Fetching ${ref} was stopped.`, { next: `It goes on with: clusterd pull ${ref}` })
        : asClusterdError(error);
      config.log(`${ref} was not fetched: ${message}`);
      last = { event: "failed", error: { code, message, next: next ?? null } };
    } finally {
      clearInterval(tell);
      jobs.delete(keyOf(ref));
      told();
    }
    send(job, last);
  }

  return {
    async *follow(ref, options = {}) {
      const job = jobs.get(keyOf(ref)) ?? begin(ref, options);
      if (job.followers.size >= FOLLOWERS_MAX)
        throw new ClusterdError("queue_full", `${FOLLOWERS_MAX} watch this pull already.`, {
          next: "See it with: clusterd status",
        });
      // Only the newest word of progress waits for a slow reader.
      let news: PullEvent | null = null;
      let wake: (() => void) | null = null;
      const follower = (event: PullEvent): void => {
        news = event;
        wake?.();
      };
      job.followers.add(follower);
      try {
        for (;;) {
          if (news === null) await new Promise<void>((resolve) => (wake = resolve));
          const event = news as PullEvent | null;
          news = null;
          if (event === null) continue;
          yield event;
          if (event.event !== "progress") return;
        }
      } finally {
        job.followers.delete(follower);
      }
    },
    cancel(ref) {
      const job = jobs.get(keyOf(ref));
      job?.abort.abort();
      return job !== undefined;
    },
    async [Symbol.asyncDispose]() {
      const ending = [...jobs.values()];
      for (const job of ending) job.abort.abort();
      await Promise.all(ending.map(({ ended }) => ended));
    },
  };
}

function send(job: Job, event: PullEvent): void {
  for (const follower of job.followers) follower(event);
}

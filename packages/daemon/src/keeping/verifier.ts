import { ClusterdError, type VerifyEvent, type VerifyFinding } from "@clusterd/wire";
import { createPullRate } from "../pulls/pull-rate.ts";
import { verifyTasks, type VerifyConfig } from "./verify-models.ts";

/** Between two words of progress. */
const TELL_MS = 500;
/** Findings that wait for a slow reader: one with more of them is cut off. */
const FINDINGS_MAX = 100_000;

export interface VerifyRequest {
  /** Null: all models here. */
  readonly ref: string | null;
  /** False: what is wrong is told and left as it is. */
  readonly repairs: boolean;
}

interface Fetching {
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface Verifier extends AsyncDisposable {
  /** Reads models again, one at a time; leaving the loop ends it. Throws `not_found`, and `queue_full` while another is under way. */
  verify(request: VerifyRequest): AsyncGenerator<VerifyEvent, void>;
}

export function createVerifier(config: VerifyConfig): Verifier {
  let running: { readonly abort: AbortController; readonly ended: Promise<void> } | null = null;

  async function* verify({ ref, repairs }: VerifyRequest): AsyncGenerator<VerifyEvent, void> {
    if (running !== null)
      throw new ClusterdError("queue_full", "This node reads its models again already.", { next: "Wait until that is over." });
    const abort = new AbortController();
    const ended = Promise.withResolvers<void>();
    running = { abort, ended: ended.promise };
    try {
      yield* events(ref, repairs, abort);
    } finally {
      abort.abort();
      running = null;
      ended.resolve();
    }
  }

  async function* events(ref: string | null, repairs: boolean, abort: AbortController): AsyncGenerator<VerifyEvent, void> {
    const tasks = await verifyTasks(config, ref);
    const totalBytes = tasks.reduce((sum, { bytes }) => sum + bytes, 0);
    const findings: VerifyFinding[] = [];
    const counts = { files: 0, bytes: 0, damaged: 0, repaired: 0, unverifiable: 0 };
    const rate = createPullRate();
    let now = { model: "", path: "" };
    let wake: () => void = () => undefined;
    const tell = (finding: VerifyFinding): void => {
      if (findings.length >= FINDINGS_MAX) abort.abort();
      findings.push(finding);
      if (finding.event === "damaged" || finding.event === "repaired" || finding.event === "unverifiable")
        counts[finding.event] += 1;
      wake();
    };
    /** What is being fetched again; null: files are read. */
    let fetching: Fetching | null = null;
    const fetched = (bytes: number, total: number): void => void (fetching = { bytes, totalBytes: total });
    const read = (bytes: number): void => {
      fetching = null;
      counts.bytes += bytes;
      rate.sample(counts.bytes, performance.now());
    };
    const progress = (): VerifyEvent => {
      const place = { event: "progress", model: now.model, path: now.path } as const;
      // How fast that comes is told where it is fetched.
      if (fetching !== null) return { ...place, step: "fetching", ...fetching, bytesPerSecond: 0, secondsLeft: null };
      const { bytesPerSecond } = rate;
      const secondsLeft = bytesPerSecond > 0 ? (totalBytes - counts.bytes) / bytesPerSecond : null;
      return { ...place, step: "reading", bytes: counts.bytes, totalBytes, bytesPerSecond, secondsLeft };
    };
    let isOver = false;
    const work = (async () => {
      for (const task of tasks) {
        abort.signal.throwIfAborted();
        now = task;
        await task.run({ signal: abort.signal, repairs, read, fetched, tell });
        counts.files += 1;
      }
    })().finally(() => {
      isOver = true;
      wake();
    });
    work.catch(() => undefined);
    try {
      for (;;) {
        const finding = findings.shift();
        if (finding !== undefined) {
          yield finding;
          continue;
        }
        if (isOver) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, TELL_MS);
        });
        if (findings.length > 0 || isOver) continue;
        yield progress();
      }
      await work;
      yield { event: "done", ...counts };
    } finally {
      abort.abort();
      // What it was reading is over at the next piece.
      await work.catch(() => undefined);
    }
  }

  return {
    verify,
    async [Symbol.asyncDispose]() {
      running?.abort.abort();
      await running?.ended;
    },
  };
}

import type { CopyBoard } from "./copy-board.ts";
import type { ProcessActivity } from "../process/process-activity.ts";
import { createHeadRelay, type HeadRelay } from "./head-relay.ts";
import type { RelayEnd } from "./relay-end.ts";
import { createStageLoad, type StageLoad, type StageLoadOptions } from "./stage-load.ts";
import { createStageMeter, type StageMeter } from "./stage-meter.ts";
import { createStageWatch } from "./stage-watch.ts";

export interface HeadStageOptions extends StageLoadOptions {
  /** Bytes of one token's hidden state. */
  readonly hiddenBytes: number;
  /** Whether the worker's end unpacks frames, in the way of `PACKING_VERSION`; absent: it does not. */
  readonly packs?: boolean;
  /** Tokens that a decode step has at most. */
  readonly decodeTokensMax: number;
  /** Whether the worker's machine takes a new connection. */
  probe(): Promise<boolean>;
  /** What the stage's engine is doing, by its own node; null, and absent: nobody can tell. */
  activity?(signal: AbortSignal): Promise<ProcessActivity | null>;
  /** Shared by the stages of one head; absent: every result goes by way of its engine. */
  readonly copies?: CopyBoard;
  onLost(reason: string): void;
  onStalled(reason: string): void;
}

/** The head's side of one stage: all its connections, its weights' books, its times, its watch. */
export interface HeadStage extends Disposable {
  /** For one connection of the engine. */
  connection(): RelayEnd;
  readonly load: StageLoad;
  readonly meter: StageMeter;
}

export function createHeadStage(options: HeadStageOptions): HeadStage {
  const load = createStageLoad(options);
  const meter = createStageMeter(options.decodeTokensMax);
  const copies = options.copies === undefined ? {} : { copies: { board: options.copies, stage: options.copies.addStage() } };
  const connections = new Set<HeadRelay>();
  const watch = createStageWatch({
    meter,
    ping() {
      for (const relay of connections) relay.ping();
    },
    probe: () => options.probe(),
    waiting: () => [...connections].some((relay) => relay.waiting),
    ...(options.activity === undefined ? {} : { activity: (signal) => options.activity?.(signal) ?? Promise.resolve(null) }),
    onLost: (reason) => options.onLost(reason),
    onStalled: (reason) => options.onStalled(reason),
  });
  return {
    load,
    meter,
    connection() {
      const relay = createHeadRelay({
        load,
        meter,
        hiddenBytes: options.hiddenBytes,
        packs: options.packs ?? false,
        ...copies,
        onHeard: (progress) => watch.heard(progress),
      });
      return {
        copiesWhatItKeeps: true,
        begin(wires) {
          relay.begin(wires);
          connections.add(relay);
          watch.active = true;
        },
        fromLocal: (chunk) => relay.fromLocal(chunk),
        fromRemote: (chunk) => relay.fromRemote(chunk),
        ended() {
          relay.ended();
          connections.delete(relay);
          watch.active = connections.size > 0;
        },
      };
    },
    [Symbol.dispose]() {
      watch[Symbol.dispose]();
    },
  };
}

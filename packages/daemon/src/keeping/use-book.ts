import type { ShardWish } from "@clusterd/catalog";
import type { ContentId } from "@clusterd/wire";

/** A part of a model that must stay on this node's disk. */
export interface NeededPart {
  readonly contentId: ContentId;
  readonly wish: ShardWish;
}

/** Every block of a model. */
export const WHOLE: ShardWish = { firstLayer: 0, lastLayer: Number.MAX_SAFE_INTEGER, isHead: true };

/** A head that has asked whether layers are here starts its stage in a moment: until that is told to all, they stay. Milliseconds. */
const SOON_MS = 10_000;
/** Asked for, served and fetched at a time: beyond it the oldest word is dropped. */
const HOLDS_MAX = 4_096;

/** What of the models here is being fetched, read by others, or about to be used; and a word of each use, for the order of giving back. */
export interface UseBook {
  /** Until disposed of it is needed. */
  hold(contentId: ContentId, wish: ShardWish): Disposable;
  /** It is needed within seconds: until a deployment that needs it is known. */
  soon(contentId: ContentId, wish: ShardWish): void;
  readonly hasSoon: boolean;
  /** What the deployments need that are known now: what was needed soon is theirs from then on. */
  deployed(parts: readonly NeededPart[]): void;
  /** Something of a model is being written; `bytesLeft` tells what of it has still to come. */
  coming(bytesLeft: () => number, model: string): Disposable;
  readonly comingParts: readonly { readonly model: string; readonly bytes: number }[];
  /** All of it. */
  readonly held: readonly NeededPart[];
  /** What is being fetched or read right now. */
  readonly busy: readonly NeededPart[];
}

/** `used` is told of each use, at its begin and its end. */
export function createUseBook(used: (contentId: ContentId) => void, nowMs: () => number = () => performance.now()): UseBook {
  const writers = new Set<{ readonly model: string; bytesLeft(): number }>();
  const holds = new Map<object, NeededPart & { readonly untilMs: number }>();
  function add(part: NeededPart, untilMs: number): object {
    const key = {};
    const [oldest] = holds.keys();
    if (holds.size >= HOLDS_MAX && oldest !== undefined) holds.delete(oldest);
    holds.set(key, { ...part, untilMs });
    used(part.contentId);
    return key;
  }
  return {
    hold(contentId, wish) {
      const key = add({ contentId, wish }, Infinity);
      return {
        [Symbol.dispose]() {
          holds.delete(key);
          used(contentId);
        },
      };
    },
    soon(contentId, wish) {
      add({ contentId, wish }, nowMs() + SOON_MS);
    },
    coming(bytesLeft, model) {
      const one = { model, bytesLeft };
      writers.add(one);
      return { [Symbol.dispose]: () => void writers.delete(one) };
    },
    get comingParts() {
      return [...writers].map(({ model, bytesLeft }) => ({ model, bytes: bytesLeft() }));
    },
    get hasSoon() {
      return [...holds.values()].some(({ untilMs }) => untilMs !== Infinity);
    },
    deployed(parts) {
      for (const [key, soon] of holds) {
        const isDeployed = parts.some(
          ({ contentId, wish }) =>
            contentId === soon.contentId && wish.firstLayer <= soon.wish.firstLayer && wish.lastLayer >= soon.wish.lastLayer,
        );
        if (soon.untilMs !== Infinity && isDeployed) holds.delete(key);
      }
    },
    get busy() {
      return [...holds.values()].filter(({ untilMs }) => untilMs === Infinity);
    },
    get held() {
      for (const [key, { untilMs }] of holds) if (untilMs <= nowMs()) holds.delete(key);
      return [...holds.values()].map(({ contentId, wish }) => ({ contentId, wish }));
    },
  };
}

import { randomBytes } from "node:crypto";
import type { ClusterdError } from "@clusterd/wire";
import { createCopyLessons, type Fetch, type Sight } from "./copy-lessons.ts";
import { brokenPromise, createPromisedCopy, encodeMark, MARK_BYTES, SECRET_BYTES, type PromisedCopy } from "./promised-copy.ts";

/** Of one stage's results so many bytes may be under way; two of them whatever their size. */
const OPEN_BYTES_MAX: number = 64 * 1024 * 1024;
/** A placeholder must be back after so many looks, so far apart: the head has nothing else to do in between. */
const LOOKS_MAX = 6;
const LOOK_EVERY_MS = 5_000;
/** What follows more fetches after a graph than these is no pipeline's step. */
const FETCHES_MAX = 8;
/** Names that the engine makes up by the number of a node, another one in another graph. */
const UNNAMED = /^(?:(?:node|leaf)_\d+)?$/;

/** What a stage is asked for. */
export interface Question {
  readonly name: string;
  readonly type: number;
  /** Elements of a row. */
  readonly width: number;
  readonly offset: number;
  readonly bytes: number;
}

/** What is set on a stage. */
export interface Setting {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  /** The first of them, `MARK_BYTES` where there are so many. */
  readonly first: Buffer;
}

/** One connection of a head's engine to a stage. What breaks a promise throws, and ends every connection of the board. */
export interface BoardConnection {
  graph(): void;
  /** A result is asked for. `free`: a placeholder could be sent now. */
  ask(question: Question, free: boolean, send: (bytes: Buffer) => void): PromisedCopy | { readonly sight: Sight | null };
  /** The real answer of one that was not promised begins. Null, or what must have happened before the head may have it. */
  answered(): Promise<void> | null;
  /** A tensor is set: with the placeholder of a promise, or with bytes that may teach something, or neither. */
  set(setting: Setting): PromisedCopy | Sight | null;
  /** A promised result has gone to where it belongs. */
  passed(promise: PromisedCopy): void;
  /** What it set is not what it was given. */
  changed(): ClusterdError;
  ended(): void;
}

export interface CopyBoardOptions {
  /** A placeholder was not used as one: the deployment must not go on, and not be given any again. */
  readonly onBroken?: () => void;
}

/**
 * Between the stages of one head: what its engine fetches from one only to set it on another. Once that is known of a tensor, the head
 * gets a placeholder at once, and the result goes from stage to stage without it.
 */
export interface CopyBoard extends Disposable {
  /** A number for another stage. */
  addStage(): number;
  connection(stage: number, fail: (error: Error) => void): BoardConnection;
  /** Results that were promised so far. */
  readonly promised: number;
}

interface Connected {
  readonly stage: number;
  readonly fail: (error: Error) => void;
}

export function createCopyBoard({ onBroken }: CopyBoardOptions = {}): CopyBoard {
  const secret = randomBytes(SECRET_BYTES);
  const lessons = createCopyLessons();
  const connections = new Set<Connected>();
  /** In the order in which the head asked: by that they must come back. */
  let open: PromisedCopy[] = [];
  let [stages, promised, fetching] = [0, 0, 0];
  let honest = false;
  let broken: ClusterdError | null = null;
  let redeemed: PromiseWithResolvers<void> | null = null;
  let timer: NodeJS.Timeout | null = null;

  const awaited = (): boolean => open.some((promise) => promise.given && !promise.redeemed);

  /** Ends all of it: a head that took a placeholder for a result has computed nonsense. */
  function breakAll(what: string): ClusterdError {
    broken = brokenPromise(what);
    onBroken?.();
    for (const { fail } of [...connections]) fail(broken);
    return broken;
  }

  /** Gives out placeholders whose turn has come; a head runs only so far ahead of its stages. */
  function giveNext(from: number): void {
    let [count, bytes] = [0, 0];
    for (const promise of open) {
      if (promise.from !== from) continue;
      count += 1;
      bytes += promise.bytes;
      if (promise.given) continue;
      if (count > stages + 1 || (count > 2 && bytes > OPEN_BYTES_MAX)) return;
      promise.give();
    }
  }

  function look(): void {
    for (const promise of open) if (promise.given && !promise.redeemed) promise.looks += 1;
    if (broken === null && open.some(({ looks }) => looks > LOOKS_MAX)) breakAll("never used what it had asked for");
  }

  function stopLooking(): void {
    if (timer !== null) clearInterval(timer);
    timer = null;
  }

  function promise(fetch: Fetch, send: (bytes: Buffer) => void): PromisedCopy | null {
    const place = lessons.placeOf(fetch);
    if (place === null || honest) return null;
    const { stage: from, bytes } = fetch;
    const made = createPromisedCopy(
      { from, to: place.stage, tensor: place.tensor, bytes },
      encodeMark(secret, BigInt(promised)),
      send,
    );
    promised += 1;
    open.push(made);
    timer ??= setInterval(look, LOOK_EVERY_MS).unref();
    giveNext(from);
    return made;
  }

  function redeem(stage: number, { name, offset, bytes, first }: Setting): PromisedCopy {
    const due = open.find((one) => one.given && !one.redeemed && one.to === stage);
    if (due === undefined || !due.mark.equals(first)) throw breakAll("used a placeholder out of its turn");
    if (name !== due.tensor || offset !== 0 || bytes !== due.bytes) throw breakAll(`set ${name} where ${due.tensor} was due`);
    due.redeemed = true;
    if (redeemed !== null && !awaited()) {
      redeemed.resolve();
      redeemed = null;
    }
    return due;
  }

  function connect(stage: number, fail: (error: Error) => void): BoardConnection {
    const self: Connected = { stage, fail };
    /** Fetches since the last graph; none counts before the first. */
    let fetches = FETCHES_MAX;
    let unanswered = 0;
    connections.add(self);
    return {
      graph() {
        fetches = 0;
      },
      ask({ name, type, width, offset, bytes }, free, send) {
        if (broken !== null) throw broken;
        // Its thread was held by each fetch until it had the answer: what it was given before, it has set by now, here before this.
        if (open.some((one) => one.given && !one.redeemed && one.to === stage))
          throw breakAll("did not pass on what it had asked for");
        // It asks without waiting: then the order in which it is seen to ask is not the order in which it does things.
        if (fetching > 0) honest = true;
        const index = fetches++;
        if (free && index < FETCHES_MAX && offset === 0 && bytes > MARK_BYTES && bytes <= OPEN_BYTES_MAX && !UNNAMED.test(name)) {
          const fetch: Fetch = { stage, key: `${index}/${type}/${width}/${name}`, name, bytes };
          const made = promise(fetch, send);
          if (made !== null) return made;
          fetching += 1;
          unanswered += 1;
          return { sight: honest ? null : lessons.fetched(fetch) };
        }
        fetching += 1;
        unanswered += 1;
        return { sight: null };
      },
      answered() {
        fetching -= 1;
        unanswered -= 1;
        if (!awaited()) return null;
        redeemed ??= Promise.withResolvers();
        return redeemed.promise;
      },
      set(setting) {
        if (broken !== null) throw broken;
        if (setting.first.length === MARK_BYTES && setting.first.subarray(0, SECRET_BYTES).equals(secret))
          return redeem(stage, setting);
        return honest || setting.offset !== 0 ? null : lessons.set({ stage, tensor: setting.name }, setting.bytes);
      },
      passed(promise) {
        open = open.filter((one) => one !== promise);
        giveNext(promise.from);
      },
      changed: () => breakAll("changed what it was to pass on"),
      ended() {
        if (!connections.delete(self)) return;
        if (connections.size === 0) stopLooking();
        fetching -= unanswered;
        const cut = open.filter((one) => one.from === stage || one.to === stage);
        if (cut.length === 0 || broken !== null) return;
        open = [];
        for (const { fail: end } of [...connections]) end(new Error("a stage that its results come from or go to has ended"));
      },
    };
  }

  return {
    addStage: () => stages++,
    connection: connect,
    get promised() {
      return promised;
    },
    [Symbol.dispose]: stopLooking,
  };
}

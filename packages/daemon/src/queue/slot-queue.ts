export interface SlotQueueOptions {
  /** Turns out at once. */
  readonly slots: number;
  /** Entries that wait. */
  readonly waitingMax: number;
  /** Entries that wait beyond that, as further parts of what has had a turn. */
  readonly moreMax: number;
}

export interface EntryOptions {
  /** Turns go round among callers. */
  readonly caller: string;
  /** A further part of a request that has had a turn: the bound on what waits does not concern it. */
  readonly more?: boolean;
}

/**
 * Who waits for a turn with an engine, and who has one: a plain structure without time. Callers are served in rounds, one entry of
 * each a round, first come first served within one. Of the places to wait a caller may hold as many as are left over: one alone half
 * of them, and however greedy some are, there is always a place for one who has none (dynamic thresholds of shared buffers: Choudhury
 * and Hahne, 1998, with α = 1).
 */
export interface SlotQueue<Entry> {
  /** Whether it now waits; where it does not, the queue is full, for this caller at least. */
  enter(entry: Entry, options: EntryOptions): boolean;
  /** Gives the free turns to whom they are due, in order. */
  admit(): readonly Entry[];
  /** An entry that is gone or done: what it was. */
  leave(entry: Entry): "waiting" | "turn" | "unknown";
  /** Those that wait, in the order in which their turns come unless somebody joins or goes. */
  order(): readonly Entry[];
  readonly active: number;
  readonly waiting: number;
  /** No turn is given while it is 0. */
  setSlots(slots: number): void;
}

export function createSlotQueue<Entry>(options: SlotQueueOptions): SlotQueue<Entry> {
  const { waitingMax, moreMax } = options;
  let { slots } = options;
  /** Lines by caller. Whose line is first is served next and goes to the end. */
  const lines = new Map<string, Entry[]>();
  const callers = new Map<Entry, EntryOptions>();
  const turns = new Set<Entry>();
  /** Waiting entries within the bound; and beyond it. */
  let waiting = 0;
  let more = 0;

  const counted = (entry: Entry, by: 1 | -1): void => {
    if (callers.get(entry)?.more === true) more += by;
    else waiting += by;
  };
  const ownWaiting = (caller: string): number =>
    (lines.get(caller) ?? []).filter((entry) => callers.get(entry)?.more !== true).length;

  return {
    enter(entry, entryOptions) {
      const { caller } = entryOptions;
      const full = entryOptions.more === true ? more >= moreMax : ownWaiting(caller) >= waitingMax - waiting;
      if (full) return false;
      callers.set(entry, entryOptions);
      counted(entry, 1);
      const line = lines.get(caller);
      if (line === undefined) lines.set(caller, [entry]);
      else line.push(entry);
      return true;
    },
    admit() {
      const admitted: Entry[] = [];
      while (turns.size < slots) {
        const [first] = lines;
        if (first === undefined) break;
        const [caller, line] = first;
        lines.delete(caller);
        const entry = line.shift();
        if (entry === undefined) continue;
        if (line.length > 0) lines.set(caller, line);
        counted(entry, -1);
        callers.delete(entry);
        turns.add(entry);
        admitted.push(entry);
      }
      return admitted;
    },
    leave(entry) {
      if (turns.delete(entry)) return "turn";
      const known = callers.get(entry);
      if (known === undefined) return "unknown";
      counted(entry, -1);
      callers.delete(entry);
      const line = (lines.get(known.caller) ?? []).filter((other) => other !== entry);
      // Where it stands in the round stays: a Map keeps the place of a key that is set again.
      if (line.length === 0) lines.delete(known.caller);
      else lines.set(known.caller, line);
      return "waiting";
    },
    order() {
      const all = [...lines.values()];
      const rounds = Math.max(0, ...all.map((line) => line.length));
      return Array.from({ length: rounds }, (_, round) => all.flatMap((line) => line.slice(round, round + 1))).flat();
    },
    get active() {
      return turns.size;
    },
    get waiting() {
      return waiting + more;
    },
    setSlots(next) {
      slots = next;
    },
  };
}

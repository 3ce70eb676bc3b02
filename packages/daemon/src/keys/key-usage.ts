import { asClusterdError, type NodeId } from "@clusterd/wire";
import type { SharedSettings } from "../settings/shared-settings.ts";

const USAGE_PREFIX = "usage/";
/** What has been counted is told to the members, and kept, so long after it has changed. */
const TELL_MS = 15_000;
/** Keys that a node counts for, revoked ones among them: more than there can be at a time. */
const COUNTED_MAX = 512;
/** Keys whose use one node tells of: the latest. One setting holds them all. */
const TOLD_MAX = 80;

/** What one node tells of each key: the day it was last used, and the tokens it was answered on that day. */
type Told = Readonly<Record<string, readonly [day: string, tokens: number]>>;

export interface KeyUsage extends AsyncDisposable {
  note(id: string, tokens: number): void;
  /** Tokens of a key on a day through all nodes, as far as they have told. */
  tokensOn(day: string, id: string): number;
  lastDay(id: string): string | null;
}

function isTold(value: unknown): value is Told {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every(
    (use: unknown) =>
      Array.isArray(use) &&
      typeof use[0] === "string" &&
      /^\d{4}-\d\d-\d\d$/.test(use[0]) &&
      Number.isSafeInteger(use[1]) &&
      use[1] >= 0,
  );
}

export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/**
 * How much each key was used, counted per node and added up: every node writes a setting of its own, `usage/NODE`, so counts never
 * collide. Other nodes' counts are up to 15 s old; a crash loses that much of one's own.
 */
export function createKeyUsage(
  settings: SharedSettings,
  self: NodeId,
  nowMs: () => number,
  log: (message: string) => void,
): KeyUsage {
  const ownKey = USAGE_PREFIX + self;
  const own = new Map<string, Told[string]>();
  let timer: NodeJS.Timeout | null = null;

  /** What was told before: kept here, or by the members where this node has lost its settings. */
  function recall(): void {
    const kept = settings.get(ownKey);
    for (const [id, [day, tokens]] of Object.entries(isTold(kept) ? kept : {})) {
      const known = own.get(id);
      if (known === undefined || day > known[0] || (day === known[0] && tokens > known[1])) own.set(id, [day, tokens]);
    }
  }
  recall();
  const unsubscribe = settings.subscribe((keys, by) => {
    if (by === "member" && keys.includes(ownKey)) recall();
  });

  /** Every node's, this one's as it is now. */
  function* all(id: string): Generator<readonly [string, number]> {
    const mine = own.get(id);
    if (mine !== undefined) yield mine;
    for (const [key, told] of settings.entries(USAGE_PREFIX)) {
      const use = key !== ownKey && isTold(told) && Object.hasOwn(told, id) ? told[id] : undefined;
      if (use !== undefined) yield use;
    }
  }

  async function tell(): Promise<void> {
    timer = null;
    const latest = [...own].slice(-TOLD_MAX);
    try {
      await settings.set(ownKey, Object.fromEntries(latest));
    } catch (error) {
      // Counting goes on here; the next change tells again.
      if (asClusterdError(error).code !== "not_admitted") log(`the use of API keys could not be kept: ${String(error)}`);
    }
  }

  return {
    note(id, tokens) {
      const day = dayOf(nowMs());
      const known = own.get(id);
      if (known?.[0] === day && tokens === 0) return;
      // Last in the map is what was used last.
      own.delete(id);
      own.set(id, [day, (known?.[0] === day ? known[1] : 0) + tokens]);
      const [oldest] = own.keys();
      if (own.size > COUNTED_MAX && oldest !== undefined) own.delete(oldest);
      timer ??= setTimeout(() => void tell(), TELL_MS);
    },
    tokensOn: (day, id) => all(id).reduce((sum, use) => (use[0] === day ? sum + use[1] : sum), 0),
    lastDay: (id) => all(id).reduce<string | null>((last, [day]) => (last === null || day > last ? day : last), null),
    async [Symbol.asyncDispose]() {
      unsubscribe();
      if (timer === null) return;
      clearTimeout(timer);
      await tell();
    },
  };
}

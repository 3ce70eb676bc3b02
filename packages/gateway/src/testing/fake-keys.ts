import { ClusterdError, type KeyView } from "@clusterd/wire";
import type { Keys, OverLimit } from "../keys.ts";

/** Keys of the test's own making, which remember what they were spent on. */
export interface FakeKeys extends Keys {
  add(key: string, changes?: Partial<KeyView>): KeyView;
  /** What the next requests are told. */
  setOver(over: OverLimit | null): void;
  readonly spent: readonly (readonly [id: string, tokens: number])[];
  readonly taken: readonly string[];
}

export function fakeKeys(): FakeKeys {
  const known = new Map<string, KeyView>();
  const spent: (readonly [string, number])[] = [];
  const taken: string[] = [];
  let over: OverLimit | null = null;
  const add = (key: string, changes: Partial<KeyView> = {}): KeyView => {
    const view: KeyView = {
      id: `id-${known.size}`,
      name: key,
      models: null,
      requestsPerMinute: null,
      tokensPerDay: null,
      isPrivate: false,
      mayControl: false,
      createdAt: "2026-01-02T03:04:05.000Z",
      lastUsedDay: null,
      tokensToday: null,
      ...changes,
    };
    known.set(key, view);
    return view;
  };
  return {
    add,
    check: (key) => known.get(key) ?? null,
    take(id) {
      taken.push(id);
      return over;
    },
    spend: (id, tokens) => void spent.push([id, tokens]),
    list: () => [...known.values()],
    async create({ name, ...limits }) {
      const key = `ck_${known.size}`;
      return { key, view: add(key, { ...limits, ...(name === null ? {} : { name }) }) };
    },
    async revoke(nameOrId) {
      for (const [key, view] of known) {
        if (view.name !== nameOrId && view.id !== nameOrId) continue;
        known.delete(key);
        return view;
      }
      throw new ClusterdError("not_found", "There is no such key.");
    },
    setOver(next) {
      over = next;
    },
    spent,
    taken,
  };
}

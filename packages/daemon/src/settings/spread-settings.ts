import type { Mesh } from "@clusterd/mesh";
import { asClusterdError, type ControlAnswers, type NodeId, type SettingsMessage, type SettingsRequest } from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { sameEntry, settingsOf } from "./merge-settings.ts";
import type { ReplicatedSettings } from "./shared-settings.ts";

const ASK_MS_MAX = 5_000;
/** A change reaches members by itself; only who still differs after this is asked. */
const DIFFERS_MS = 300;
/** Between two looks at who differs, where nothing happens: for exchanges that failed. */
const LOOK_MS = 5_000;

export interface SpreadConfig {
  readonly settings: ReplicatedSettings;
  readonly store: Store;
  /** Null until it is up. */
  mesh(): Pick<Mesh, "members" | "request"> | null;
  log(message: string): void;
}

/** Answers a member's request: takes in what it sends and, where it sent all it has, answers with what it lacks. */
export function answerSettings(settings: ReplicatedSettings, request: SettingsRequest): ControlAnswers["settings"] {
  settings.merge(request);
  const { floor, entries } = settings.message();
  const theirs = settingsOf(request).entries;
  const lacking = request.whole ? entries.filter((entry) => !sameEntry(entry, theirs.get(entry.key))) : [];
  // Where their floor is lower, what they hold below ours is judged by our whole list.
  return { digest: settings.digest, floor, entries: request.whole && request.floor !== floor ? entries : lacking };
}

/**
 * Keeps the settings of all members equal: a change made here goes to everyone connected at once; members whose adverts tell another
 * digest are asked for theirs and given ours, which serves those who join or come back.
 */
export function spreadSettings({ settings, store, mesh, log }: SpreadConfig): Disposable {
  const asking = new Set<NodeId>();
  let differTimer: NodeJS.Timeout | null = null;
  let closed = false;

  async function ask(node: NodeId, message: SettingsMessage, whole: boolean): Promise<void> {
    const within = AbortSignal.timeout(ASK_MS_MAX);
    const answer = await mesh()?.request(node, { type: "settings", ...message, whole }, { signal: within });
    if (answer !== undefined && whole && !closed) settings.merge(answer);
  }

  async function exchange(node: NodeId): Promise<void> {
    if (asking.has(node)) return;
    asking.add(node);
    try {
      await ask(node, settings.message(), true);
    } catch (error) {
      // A node that cannot answer now is asked again at the next look; what it said is worth a line.
      const { code, message } = asClusterdError(error);
      if (code === "invalid_request") log(`settings were not exchanged with ${node}: ${message}`);
    } finally {
      asking.delete(node);
    }
  }

  /** Members that know of settings at all, by the digests they tell. */
  const digests = (): readonly (readonly [NodeId, string])[] =>
    (mesh()?.members() ?? []).flatMap((node) => {
      const told = store.state.others.get(node)?.advert.settings ?? null;
      return told === null ? [] : [[node, told] as const];
    });

  function compare(): void {
    differTimer = null;
    for (const [node, told] of digests()) if (told !== settings.digest) void exchange(node);
  }
  function soon(): void {
    if (!closed) differTimer ??= setTimeout(compare, DIFFERS_MS);
  }

  const tell = (): void => store.dispatch({ type: "own", facts: { settings: settings.digest } });
  const unsubscribe = [
    settings.subscribe((keys, by) => {
      tell();
      // What a member told it tells the others as well.
      if (by === "member") return;
      const message = settings.messageOf(keys);
      // Who cannot be reached now differs by digest later.
      for (const [node] of digests()) void ask(node, message, false).catch(() => undefined);
    }),
    store.subscribe((state, event) => {
      if (event.type === "standing" && state.standing.kind === "member") settings.enter(state.standing.id);
      if (event.type === "advert") soon();
    }),
  ];
  const { standing } = store.state;
  if (standing.kind === "member") settings.enter(standing.id);
  tell();
  const look = setInterval(soon, LOOK_MS);
  return {
    [Symbol.dispose]() {
      closed = true;
      for (const end of unsubscribe) end();
      clearInterval(look);
      if (differTimer !== null) clearTimeout(differTimer);
    },
  };
}

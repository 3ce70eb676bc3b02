import type { DeploymentId, ModelProfile, Placement } from "@clusterd/wire";
import type { HeadCommands } from "../planning/head-commands.ts";
import { doesNotFit, waitsForRoom } from "../planning/refusal-text.ts";
import type { PlanQuestion } from "../planning/plan-cluster.ts";
import type { PlanWish } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { findRoom, isRoom } from "./make-room.ts";

/** Each round goes by the state of then: what is found at work stays after all, and others go. */
const ROUNDS_MAX = 4;

/** The placement of a model, once what has to make room for it is gone. `forRequest`: what works may be waited for. */
export type MakeRoom = (
  profile: ModelProfile,
  wish: PlanWish,
  replacing: ReadonlySet<DeploymentId>,
  options: { readonly signal: AbortSignal; readonly forRequest: boolean; readonly question?: PlanQuestion },
) => Promise<Placement>;

export function createRoomMaker(store: Store, commands: Pick<HeadCommands, "evict">): MakeRoom {
  return async (profile, wish, replacing, { signal, forRequest, question }) => {
    for (let round = 1; ; round++) {
      const found = findRoom(store.state, profile, wish, replacing, question);
      if (!isRoom(found)) {
        if (forRequest && found.waitsFor.length > 0) throw waitsForRoom(profile.id, found.waitsFor);
        throw doesNotFit(profile.id, found.refusal);
      }
      const { plan, evict } = found;
      if (evict.length === 0) return plan;
      if (round > ROUNDS_MAX)
        throw waitsForRoom(
          profile.id,
          evict.map(({ view }) => view.model),
        );
      await Promise.all(evict.map((deployment) => commands.evict(deployment, signal)));
    }
  };
}

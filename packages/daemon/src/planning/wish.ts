import { ClusterdError, type ModelProfile, type NodeId } from "@clusterd/wire";
import type { LoadBody } from "@clusterd/gateway";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { findPlace, placeNames } from "../state/names.ts";

/** Requests a deployment answers at once, unless told otherwise. */
export const DEFAULT_SLOTS = 1;

/** What a load or plan request asks for, its nodes looked up. Throws `not_found` naming the nodes there are. */
export function wishOf(state: DaemonState, body: LoadBody, draft: ModelProfile | null): PlanWish {
  const idOf = (name: string): NodeId => {
    const id = findPlace(state, name);
    if (id !== null) return id;
    throw new ClusterdError("not_found", `There is no node ${JSON.stringify(name)} in the cluster.`, {
      next: `Nodes: ${[...placeNames(state).values()].join(", ")}.`,
    });
  };
  return {
    objective: body.objective ?? "latency",
    head: body.head === undefined ? null : idOf(body.head),
    pins: (body.pin ?? []).map((pin) => ({ ...pin, node: idOf(pin.node) })),
    without: (body.without ?? []).map(idOf),
    context: body.ctx ?? null,
    slots: body.slots ?? DEFAULT_SLOTS,
    kv: body.kv ?? "f16",
    flashAttention: body.flashAttention ?? true,
    speculation: body.speculation ?? "auto",
    draft,
  };
}

/** Whether a request says anything about how to place the model, beyond naming it and how often. */
export function saysHow(body: LoadBody): boolean {
  const { objective, head, pin, without, ctx, slots, kv, flashAttention, draft, speculation, replan } = body;
  const said = [objective, head, pin, without, ctx, slots, kv, flashAttention, draft, speculation, replan];
  return said.some((value) => value !== undefined);
}

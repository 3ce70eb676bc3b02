import { formatBytes } from "@clusterd/device";
import { ClusterdError, placeOf, type Advert, type ContentId, type DiskView, type NodeId } from "@clusterd/wire";
import type { DaemonState, OwnFacts } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";
import type { StageFetch } from "./fetch-notes.ts";

/** What stays free besides. */
const RESERVE_BYTES: number = 64 * 1024 * 1024;

type Facts = Pick<Advert, "models" | "held" | "disk"> | Pick<OwnFacts, "models" | "held" | "disk">;

/**
 * How much more of one model a node's disk can take, once what nothing needs is given back; null: it does not tell. Another model that runs
 * there stays, as does what there is of this one.
 */
export function diskRoomOf(state: DaemonState, node: NodeId, contentId: ContentId): number | null {
  const facts: Facts | undefined = node === state.self ? state.own : state.others.get(node)?.advert;
  const disk = facts?.disk ?? null;
  if (facts === undefined || disk === null) return null;
  const runs = new Set(
    allDeployments(state)
      .filter(({ view }) => view.state !== "failed")
      .filter(({ view }) => view.head === node || view.stages.some((stage) => placeOf(stage.node).node === node))
      .map((deployment) => deployment.contentId),
  );
  const stays = (id: ContentId): boolean => id === contentId || runs.has(id);
  const parts = (facts.held ?? []).filter((part) => stays(part.contentId)).reduce((sum, part) => sum + part.diskBytes, 0);
  const pulled = facts.models
    .filter((model) => model.source === "pulled" && stays(model.contentId))
    .reduce((sum, model) => sum + (model.diskBytes ?? model.fileBytes), 0);
  return roomOn(disk, parts + pulled);
}

function roomOn({ freeBytes, usedBytes, capBytes }: DiskView, staysBytes: number): number {
  const free = Math.min(freeBytes - RESERVE_BYTES, (capBytes ?? Infinity) - usedBytes);
  return Math.max(0, free + Math.max(0, usedBytes - staysBytes));
}

/** A node that is to fetch more than its disk has room for. */
export interface ShortDisk extends Pick<StageFetch, "node" | "bytes"> {
  readonly roomBytes: number;
}

export function shortDisks(
  state: DaemonState,
  contentId: ContentId,
  fetches: readonly StageFetch[],
  names: ReadonlyMap<NodeId, string>,
): readonly ShortDisk[] {
  const ids = new Map([...names].map(([id, name]) => [name, placeOf(id).node]));
  return fetches.flatMap(({ node, bytes }) => {
    const room = diskRoomOf(state, ids.get(node) ?? (node as NodeId), contentId);
    return room === null || bytes <= room ? [] : [{ node, bytes, roomBytes: room }];
  });
}

/** Of a head that has the whole file: it then sends what the node cannot keep. */
export function shortNotes(short: readonly ShortDisk[]): readonly string[] {
  return short.map(
    ({ node, bytes, roomBytes }) =>
      `${node} has no room on its disk for ${formatBytes(bytes)} (${formatBytes(roomBytes)} are free for models): its layers are sent to it with every load.`,
  );
}

/** Where nobody has all of the model, each node must keep its part. */
export function leftOutNotes(short: readonly ShortDisk[]): readonly string[] {
  return short.map(
    ({ node, bytes, roomBytes }) =>
      `${node} takes no part: there is no room on its disk for ${formatBytes(bytes)} (${formatBytes(roomBytes)} are free for models).`,
  );
}

export function noDiskRoom(model: string, short: readonly ShortDisk[]): ClusterdError {
  const [first] = short;
  const each = short.map(
    ({ node, bytes, roomBytes }) =>
      `${node} would fetch ${formatBytes(bytes)} and has room on its disk for ${formatBytes(roomBytes)}`,
  );
  return new ClusterdError("does_not_fit", `No node has all of ${model}, and not every part finds room: ${each.join("; ")}.`, {
    next: `Make room on the disk of ${first?.node ?? "that node"}, raise its limit (--disk), or choose a smaller quantisation.`,
    details: { disks: short },
  });
}

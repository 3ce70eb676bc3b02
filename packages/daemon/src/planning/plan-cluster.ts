import { plan } from "@clusterd/planner";
import {
  ClusterdError,
  modelKind,
  placeOf,
  type ContentId,
  type DeploymentId,
  type ModelProfile,
  type NodeId,
  type Placement,
  type PlanRequest,
  type PlanResult,
} from "@clusterd/wire";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { placeNames } from "../state/names.ts";
import { allDeployments } from "../state/view.ts";
import { linkTable, plannerNodes, type Machine } from "./cluster-machines.ts";
import { leftOutNotes, noDiskRoom, shortDisks, shortNotes, type ShortDisk } from "./disk-room.ts";
import { fetchesFor, fetchNotes, type StageFetch } from "./fetch-notes.ts";
import { hasWhole, placesOf, type ModelPlaces } from "./model-places.ts";
import { usedMemory } from "./used-memory.ts";

/** What a plan is asked for besides its wish, none of which a deployment keeps. */
export interface PlanQuestion {
  readonly top?: number | undefined;
  readonly promptTokens?: number | undefined;
  /** Where no node has the model's file: plan as if every one had it. */
  readonly asIfThere?: boolean;
  /** What no member has comes from the hub: any node may be the head, where none has all of the model. */
  readonly fromHub?: boolean;
  /** This node may be the head whatever it has: it is that already. */
  readonly selfHeads?: boolean;
}

const AS_IF_THERE = "No node has this model yet: planned as if each had its file.";

export interface Asked {
  readonly request: PlanRequest;
  /** No node has the model's file: asked as if every one had it. */
  readonly isNowhere: boolean;
  readonly places: ModelPlaces;
}

/** What the planner is asked about a model on the cluster as it is now, nodes by the names people see. */
export function clusterRequest(
  state: DaemonState,
  model: ModelProfile,
  wish: PlanWish,
  replacing: ReadonlySet<DeploymentId>,
  question: PlanQuestion = {},
): Asked {
  const names = placeNames(state);
  const nameOf = (id: NodeId): string => names.get(id) ?? id;
  const places = placesOf(state, model);
  const machines = machinesOf(state, places, wish, question);
  const isNowhere = question.asIfThere === true && !machines.some(({ canHead }) => canHead);
  const { top, promptTokens } = question;
  const taken = replicaHosts(state, model.contentId, replacing);
  const request: PlanRequest = {
    model,
    nodes: plannerNodes(
      isNowhere ? machines.map((machine) => ({ ...machine, canHead: true })) : machines,
      names,
      usedMemory(state, replacing),
      modelKind(model),
    ),
    links: linkTable([{ id: state.self, links: state.own.links }, ...advertLinks(state)], names),
    objective: wish.objective,
    ...(wish.context === null ? {} : { context: wish.context }),
    ...(wish.contextTokensRead === undefined ? {} : { contextTokensRead: wish.contextTokensRead }),
    slots: wish.slots,
    kv: wish.kv,
    flashAttention: wish.flashAttention,
    speculation: wish.speculation,
    ...(wish.draft === null ? {} : { draft: wish.draft }),
    ...(wish.head === null ? {} : { head: nameOf(wish.head) }),
    pins: wish.pins.map((pin) => ({ ...pin, node: nameOf(pin.node) })),
    without: [...names]
      .filter(([id]) => wish.without.includes(placeOf(id).node) || wish.without.includes(id) || taken.has(placeOf(id).node))
      .map(([, name]) => name),
    ...(top === undefined ? {} : { top }),
    ...(promptTokens === undefined ? {} : { promptTokens }),
  };
  return { request, isNowhere, places };
}

/** The hosts of a model's other deployments: replicas share none, even where there is room for both. */
function replicaHosts(state: DaemonState, content: ContentId, except: ReadonlySet<DeploymentId>): ReadonlySet<NodeId> {
  const others = allDeployments(state).filter(
    ({ id, contentId, view }) => contentId === content && !except.has(id) && !["failed", "draining"].includes(view.state),
  );
  return new Set(others.flatMap(({ view }) => [view.head, ...view.stages.map((stage) => placeOf(stage.node).node)]));
}

/**
 * The plan for a model on the cluster as it is now, nodes by the names people see. Of a model that no member has all of, nodes without room
 * on their disks for their parts are left out; throws `does_not_fit` where it then does not fit any more.
 */
export function planForCluster(...asked: Parameters<typeof clusterRequest>): PlanResult {
  const [state, , , , question = {}] = asked;
  const about = clusterRequest(...asked);
  const left: ShortDisk[] = [];
  for (let { request } = about; ;) {
    const result = plan(request);
    if (!result.feasible && left.length > 0) throw noDiskRoom(request.model.id, left);
    if (!result.feasible) return result;
    const short = isInParts(about) ? disksShortFor(result, about, state, question) : [];
    if (short.length === 0) {
      const placement = withFetchNotes(result, about, state, question);
      return { ...placement, notes: [...placement.notes, ...leftOutNotes(left)] };
    }
    left.push(...short);
    const names = short.map(({ node }) => node);
    if (names.some((name) => name === request.head || request.pins.some(({ node }) => node === name)))
      throw noDiskRoom(request.model.id, short);
    request = { ...request, without: [...request.without, ...placesOn(request, names)] };
  }
}

/** Whether no member has all of a model that is there, or comes from a hub: each must keep its own part. */
const isInParts = ({ places, isNowhere }: Asked): boolean => places.holders.size === 0 && !isNowhere;

/** All places of these hosts. */
function placesOn({ nodes }: PlanRequest, hosts: readonly string[]): readonly string[] {
  return nodes.map(({ name }) => name).filter((name) => hosts.includes(placeOf(name).node));
}

function fetchesOf(
  placement: Placement,
  { request, places }: Asked,
  state: DaemonState,
  { fromHub }: PlanQuestion,
): readonly StageFetch[] {
  const { model: profile, links } = request;
  return fetchesFor({ profile, placement, places, names: placeNames(state), links, hub: fromHub === true ? "the hub" : null });
}

function disksShortFor(placement: Placement, about: Asked, state: DaemonState, question: PlanQuestion): readonly ShortDisk[] {
  return shortDisks(state, about.request.model.contentId, fetchesOf(placement, about, state, question), placeNames(state));
}

/** A placement that says what its nodes have to fetch, from whom, and where the disk is too small for that. */
export function withFetchNotes(placement: Placement, about: Asked, state: DaemonState, question: PlanQuestion = {}): Placement {
  if (about.isNowhere && question.fromHub !== true) return { ...placement, notes: [...placement.notes, AS_IF_THERE] };
  const notes = fetchNotes(fetchesOf(placement, about, state, question));
  const short = isInParts(about) ? [] : shortNotes(disksShortFor(placement, about, state, question));
  return { ...placement, notes: [...placement.notes, ...notes, ...short] };
}

/**
 * The members that may take part. The head has the whole model; where none of them has, each is as good, as long as what it needs can be
 * fetched. One that is asked for by name may be it as well.
 */
function machinesOf(
  state: DaemonState,
  { holders, missing, heldBy }: ModelPlaces,
  { head, without, draft }: PlanWish,
  { fromHub, selfHeads }: PlanQuestion,
): readonly Machine[] {
  const members = [
    { ...state.own, id: state.self },
    ...[...state.others].filter(([, other]) => other.state === "alive").map(([id, { advert }]) => ({ ...advert, id })),
  ].filter(({ draining }) => !draining);
  const isThere = missing.bytes === 0 || fromHub === true;
  const anyWill = isThere && !members.some(({ id }) => holders.has(id) && !without.includes(id));
  return members.map(({ id, device, links, models }) => ({
    id,
    device,
    links,
    held: heldBy(id),
    canHead:
      // The head has the draft model beside the model.
      (draft === null || hasWhole({ models }, draft.contentId)) &&
      (holders.has(id) || anyWill || (isThere && head === id) || (selfHeads === true && id === state.self)),
  }));
}

function advertLinks(state: DaemonState): readonly Pick<Machine, "id" | "links">[] {
  return [...state.others].map(([id, { advert }]) => ({ id, links: advert.links }));
}

/** The same placement with nodes by their ids, as it is deployed. */
export function withNodeIds(state: DaemonState, placement: Placement): Placement {
  const ids = new Map([...placeNames(state)].map(([id, name]) => [name, id]));
  const idOf = (name: string): NodeId => {
    const id = ids.get(name);
    if (id === undefined)
      throw new ClusterdError("not_found", `The plan names a node that is gone: ${name}.`, { next: "Plan again." });
    return id;
  };
  return {
    ...placement,
    head: idOf(placement.head),
    stages: placement.stages.map((stage) => ({ ...stage, node: idOf(stage.node) })),
  };
}

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
import { usedMemory } from "./used-memory.ts";

/** What a plan is asked for besides its wish, none of which a deployment keeps. */
export interface PlanQuestion {
  readonly top?: number | undefined;
  readonly promptTokens?: number | undefined;
  /** Where no node has the model's file: plan as if every one had it. */
  readonly asIfThere?: boolean;
  /** This node may be the head whatever it has: it fetches what it needs. */
  readonly selfHeads?: boolean;
}

const AS_IF_THERE = "No node has this model yet: planned as if each had its file.";

interface Asked {
  readonly request: PlanRequest;
  /** No node has the model's file: asked as if every one had it. */
  readonly isNowhere: boolean;
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
  // The head has the draft model beside the model.
  const files = [model.contentId, ...(wish.draft === null ? [] : [wish.draft.contentId])];
  const machines = machinesOf(state, files).map((machine) =>
    question.selfHeads === true && machine.id === state.self ? { ...machine, canHead: true } : machine,
  );
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
  return { request, isNowhere };
}

/** The hosts of a model's other deployments: replicas share none, even where there is room for both. */
function replicaHosts(state: DaemonState, content: ContentId, except: ReadonlySet<DeploymentId>): ReadonlySet<NodeId> {
  const others = allDeployments(state).filter(
    ({ id, contentId, view }) => contentId === content && !except.has(id) && !["failed", "draining"].includes(view.state),
  );
  return new Set(others.flatMap(({ view }) => [view.head, ...view.stages.map((stage) => placeOf(stage.node).node)]));
}

/** The plan for a model on the cluster as it is now, nodes by the names people see. */
export function planForCluster(...asked: Parameters<typeof clusterRequest>): PlanResult {
  const { request, isNowhere } = clusterRequest(...asked);
  const result = plan(request);
  return isNowhere && result.feasible ? { ...result, notes: [...result.notes, AS_IF_THERE] } : result;
}

/** The members that may take part. */
function machinesOf(state: DaemonState, files: readonly ContentId[]): readonly Machine[] {
  const members = [
    { ...state.own, id: state.self },
    ...[...state.others].filter(([, other]) => other.state === "alive").map(([id, { advert }]) => ({ ...advert, id })),
  ];
  return members
    .filter(({ draining }) => !draining)
    .map(({ id, device, links, models }) => ({
      id,
      device,
      links,
      canHead: files.every((file) => models.some((model) => model.contentId === file)),
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

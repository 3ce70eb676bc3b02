import type { MeshEvent } from "@clusterd/mesh";
import { ClusterdError, type NodeId } from "@clusterd/wire";
import type { DaemonEvent } from "./daemon-options.ts";
import type { LinkWatch } from "./links/link-watch.ts";
import type { DaemonState } from "./state/daemon-state.ts";
import type { Store } from "./state/store.ts";

export interface MeshListenerConfig {
  readonly store: Store;
  /** Whether this node has been in a cluster before. */
  readonly isMember: boolean;
  links(): LinkWatch;
  onEvent(event: DaemonEvent): void;
  say(message: string, level?: "info" | "warn"): void;
  /** A line for the log alone. */
  note(line: string): void;
  /** This node is a member, its API is up: told once. */
  onReady(): void;
  /** It cannot go on. */
  end(error: ClusterdError): void;
}

/** What the mesh tells, as changes of the state and as news for whoever started the daemon. */
export interface MeshListener {
  on(event: MeshEvent): void;
  /** The API is up: from now on it is told where this node stands. */
  apiIsUp(): void;
}

export function createMeshListener(config: MeshListenerConfig): MeshListener {
  const { store, onEvent, say } = config;
  let readyTold = false;
  let apiUp = false;
  /** What this node was before it became a member; null once that has been told. */
  let before: "looking" | "pending" | null = config.isMember ? null : "looking";
  let admittedBy: NodeId | null = null;

  function tellStanding(): void {
    const { standing } = store.state;
    if (standing.kind === "looking") onEvent({ event: "looking" });
    if (standing.kind !== "member") return;
    const { id, name } = standing;
    if (before !== null && admittedBy === null) onEvent({ event: "founded", cluster: id, name });
    if (before !== null && admittedBy !== null) onEvent({ event: "admitted", cluster: id, name, by: admittedBy });
    before = null;
    if (standing.open) say("this cluster is OPEN: whoever is on this network is let in without being asked", "warn");
    if (readyTold) return;
    readyTold = true;
    config.onReady();
  }

  function standingChanged({ standing, by }: Extract<MeshEvent, { type: "standing" }>): void {
    if (standing.kind !== "member") before = standing.kind;
    admittedBy = by;
    const next: DaemonState["standing"] =
      standing.kind === "member"
        ? { kind: "member", id: standing.cluster.id, name: standing.cluster.name, open: standing.cluster.open }
        : standing.kind === "pending"
          ? { kind: "pending", code: standing.code }
          : { kind: "looking" };
    store.dispatch({ type: "standing", standing: next });
    if (standing.kind === "pending") onEvent({ event: "pending", code: standing.code, member: standing.member });
    else if (apiUp) tellStanding();
  }

  function refused({ why, message }: Extract<MeshEvent, { type: "refused" }>): void {
    onEvent({ event: "refused", code: why, message });
    config.note(`refused: ${message}`);
    if (why === "cluster-name" || (why === "protocol" && store.state.standing.kind === "member")) return;
    const code = why === "protocol" ? "protocol_mismatch" : "not_admitted";
    config.end(new ClusterdError(code, message, { next: refusalHint(why) }));
  }

  return {
    on(event) {
      switch (event.type) {
        case "standing":
          standingChanged(event);
          return;
        case "advert":
          store.dispatch({ type: "advert", advert: event.advert });
          store.dispatch({ type: "node-state", node: event.advert.node, state: "alive" });
          return;
        case "node-state":
        case "removed":
          store.dispatch(event);
          return;
        case "pending":
          store.dispatch({ type: "own", facts: { pending: event.pending } });
          return;
        case "link":
          store.dispatch(event);
          config.links().heartbeat(event.to, event.rttMs);
          return;
        case "refused":
          refused(event);
          return;
        case "trouble":
          say(event.message, "warn");
          return;
        case "stranger":
          say(`${event.address}: ${event.message}`, "warn");
          return;
        case "connected":
        case "disconnected":
          return;
        default:
          event satisfies never;
      }
    },
    apiIsUp() {
      apiUp = true;
      tellStanding();
    },
  };
}

function refusalHint(why: string): string {
  if (why === "protocol") return "Bring both nodes to the same clusterd: the engine comes with it.";
  if (why === "removed") return "Ask to be let in again from a fresh home, or with a new identity.";
  return "Print the cluster's token on a member with: clusterd token";
}

import { formatBytes } from "@clusterd/device";
import type { ClusterState, NodeView } from "@clusterd/wire";
import { check, HERE, hint, wrong, type Check } from "../check.ts";

const DISK_SHARE_MIN = 0.05;
const DISK_BYTES_MIN: number = 1e9;
/** A measurement that lies this far ahead of our clock was made by another one. */
const SKEW_MS_MAX = 60_000;

const here = (state: ClusterState): readonly NodeView[] => state.nodes.filter((node) => node.state !== "left");

const standingCheck: Check = check({
  name: "membership",
  title: "membership",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    const { kind, code } = state.standing;
    const own =
      kind === "pending"
        ? [
            wrong(
              HERE,
              "this node waits to be let in",
              "until then it holds no layers and serves no models of the cluster",
              `On a member: clusterd approve ${code ?? "CODE"}`,
            ),
          ]
        : kind === "looking"
          ? [
              wrong(
                HERE,
                "this node is in no cluster yet",
                "it found none, or none has answered",
                "Name a member: clusterd join --peer /ip4/ADDRESS/tcp/2574",
              ),
            ]
          : [];
    const waiting = state.pending.map(({ name, code: theirs }) =>
      hint(name, "it waits to be let in", "somebody has to compare the code on both screens", `clusterd approve ${theirs}`),
    );
    return [...own, ...waiting];
  },
});

const reachCheck: Check = check({
  name: "members",
  title: "members within reach",
  needs: ["cluster"],
  find({ cluster: { state, reach } }) {
    const byId = new Map(reach.map(({ node, trouble }) => [node, trouble]));
    return state.nodes.flatMap((node) => {
      if (node.id === state.self) return [];
      if (node.state === "left")
        return [
          hint(
            node.name,
            "it has left",
            "what it held is somewhere else, or nowhere",
            `Start it there (clusterd join), or forget it: clusterd remove ${node.name}`,
          ),
        ];
      const trouble = byId.get(node.id) ?? null;
      if (node.state === "suspect")
        return [
          wrong(
            node.name,
            "it does not answer",
            "deployments with layers on it stop, or move",
            "Look whether it is on, awake and on the network; then at its log there: clusterd logs",
          ),
        ];
      if (trouble !== null)
        return [
          wrong(
            node.name,
            `it is a member but does not answer a request: ${trouble}`,
            "what it is asked to run or fetch waits",
            `Look at its load, and at its log: clusterd logs on ${node.name}`,
          ),
        ];
      return [];
    });
  },
});

/** The ones that differ from what most have, with what they have. */
function odd(
  nodes: readonly NodeView[],
  of: (node: NodeView) => string,
): { readonly most: string; readonly others: readonly NodeView[] } | null {
  const counts = new Map<string, number>();
  for (const node of nodes) counts.set(of(node), (counts.get(of(node)) ?? 0) + 1);
  if (counts.size < 2) return null;
  const [most = ""] = [...counts].toSorted(([, a], [, b]) => b - a).map(([value]) => value);
  return { most, others: nodes.filter((node) => of(node) !== most) };
}

const versionsCheck: Check = check({
  name: "versions",
  title: "versions and engines that agree",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    const nodes = here(state);
    const protocol = odd(nodes, ({ engine }) => engine.rpcProtocol);
    const wrongEngines = (protocol?.others ?? []).map((node) =>
      wrong(
        node.name,
        `its engine speaks RPC protocol ${node.engine.rpcProtocol} (llama.cpp ${node.engine.llamaCpp}), the others' ${protocol?.most ?? ""}`,
        "engines of different protocols compute garbage together: it is given no layers",
        "Bring clusterd there to the others' version, and start it again.",
      ),
    );
    const same = nodes.filter(({ engine }) => protocol === null || engine.rpcProtocol === protocol.most);
    const release = odd(same, ({ engine }) => engine.llamaCpp);
    const builds = (release?.others ?? []).map((node) =>
      hint(
        node.name,
        `its engine is llama.cpp ${node.engine.llamaCpp}, the others' ${release?.most ?? ""}`,
        "an operator that only one of them knows ends a deployment over both",
        "Bring clusterd there to the others' version (and unset CLUSTERD_ENGINE_DIR).",
      ),
    );
    const version = odd(nodes, (node) => node.version);
    const versions = (version?.others ?? []).map((node) =>
      hint(
        node.name,
        `it runs clusterd ${node.version}, the others ${version?.most ?? ""}`,
        "what one of them does not know yet, it cannot do for the others",
        "Bring it to the others' version.",
      ),
    );
    return [...wrongEngines, ...builds, ...versions];
  },
});

const disksCheck: Check = check({
  name: "disks",
  title: "the members' disks",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    return here(state).flatMap(({ id, name, disk }) => {
      // This machine's own has a check of its own.
      if (id === state.self || disk === null || disk === undefined) return [];
      const { freeBytes, totalBytes } = disk;
      if (freeBytes >= DISK_BYTES_MIN && freeBytes >= totalBytes * DISK_SHARE_MIN) return [];
      const level = freeBytes < DISK_BYTES_MIN ? wrong : hint;
      return [
        level(
          name,
          `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free on its disk`,
          "layers that are to run there cannot be fetched",
          `On ${name}: clusterd rm REF, or rm REF --unused`,
        ),
      ];
    });
  },
});

const drainingCheck: Check = check({
  name: "draining",
  title: "members that take no work",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    return here(state)
      .filter(({ draining }) => draining)
      .map(({ name }) =>
        hint(name, "it is draining", "it is given no new layers", `If that is over: clusterd drain ${name} --off`),
      );
  },
});

const clocksCheck: Check = check({
  name: "clocks",
  title: "clocks that agree",
  needs: ["cluster"],
  find({ cluster: { state, nowMs } }) {
    return here(state).flatMap(({ id, name, links }) => {
      const latest = Math.max(0, ...links.map(({ measuredAt }) => measuredAt ?? 0));
      if (id === state.self || latest <= nowMs + SKEW_MS_MAX) return [];
      const minutes = Math.round((latest - nowMs) / 60_000);
      return [
        hint(
          name,
          `its clock is ${minutes} min or more ahead of this machine's`,
          "logs cannot be compared, and keys with daily limits have two days",
          "Have both set over the network (on Linux: sudo timedatectl set-ntp true).",
        ),
      ];
    });
  },
});

export const MEMBER_CHECKS: readonly Check[] = [standingCheck, reachCheck, versionsCheck, disksCheck, drainingCheck, clocksCheck];

import type { ClusterState, DeploymentView, StageView } from "../../../packages/wire/src/index.ts";
import type { Host } from "./hosts.ts";
import { startNode, type TestNode } from "./node.ts";

/** The demo model's id. */
export const MODEL = "demo-16l-q8_0";

/** Nodes that know each other, the first one the founder and the head of what is loaded. */
export interface Cluster extends AsyncDisposable {
  readonly nodes: readonly TestNode[];
  readonly head: TestNode;
  named(name: string): TestNode;
  /** Deploys the demo model over all nodes, anew; its stages by the nodes' names. */
  spread(): Promise<ReadonlyMap<string, StageView>>;
  /** All nodes alive, and the model answers in an epoch after `epoch`. */
  recovered(epoch: number): Promise<DeploymentView>;
}

const aliveIn = (state: ClusterState): number => state.nodes.filter((node) => node.state === "alive").length;

/** `argsOf`: what a host's node is started with besides. */
export async function startCluster(
  hosts: readonly Host[],
  name: string,
  argsOf: (host: Host) => readonly string[] = () => [],
): Promise<Cluster> {
  const nodes: TestNode[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
  };
  try {
    const [first, ...others] = hosts;
    if (first === undefined) throw new Error("a cluster of no hosts");
    const head = await startNode(first, { args: ["--cluster", name, ...argsOf(first)] });
    nodes.push(head);
    const [address] = (await head.event("ready"))["mesh"] as string[];
    const mesh = first.ownPorts ? [] : ["--peer", String(address)];
    const token = (await head.run("token")).stdout.trim();
    const joined = others.map((host) => startNode(host, { args: ["--token", token, ...mesh, ...argsOf(host)] }));
    for (const node of await Promise.all(joined)) nodes.push(node);
    await Promise.all(nodes.slice(1).map((node) => node.event("admitted")));
    await Promise.all(nodes.map((node) => node.until((state) => aliveIn(state) === hosts.length, "a whole cluster")));
    return {
      nodes,
      head,
      named(wanted) {
        const node = nodes.find(({ host }) => host.name === wanted);
        if (node === undefined) throw new Error(`no node is called ${wanted}`);
        return node;
      },
      async spread() {
        const loaded = await head.run("load", "demo", "--objective", "spread", "--head", first.name, "--wait");
        if (loaded.status !== 0) throw new Error(`the demo model was not loaded: ${loaded.stderr}`);
        const state = await head.state();
        const nameOf = new Map(state.nodes.map((node) => [node.id, node.name]));
        const { epoch, stages = [] } = state.deployments.find(({ model }) => model === MODEL) ?? {};
        if (epoch !== 1) throw new Error(`the demo model came up at start ${epoch}: ${JSON.stringify(head.events.slice(-8))}`);
        return new Map(stages.map((stage) => [nameOf.get(stage.node) ?? stage.node, stage]));
      },
      async recovered(epoch) {
        const wanted = (view: DeploymentView): boolean => view.model === MODEL && view.state === "ready" && view.epoch > epoch;
        const state = await head.until((now) => aliveIn(now) === hosts.length && now.deployments.some(wanted), "well again");
        return state.deployments.find(wanted) as DeploymentView;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

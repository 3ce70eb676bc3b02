import { ClusterdError, type ClusterState, type NodeId } from "@clusterd/wire";
import type { ClusterFacts } from "@clusterd/daemon/doctor";
import type { Client } from "../api/client.ts";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { EXIT } from "../exit-codes.ts";
import { bar } from "../text/bar.ts";
import { doctorLines } from "../views/doctor-view.ts";

const BAR_CELLS = 20;
const REFUSALS: ReadonlySet<string> = new Set(["queue_full", "invalid_request", "not_admitted"]);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const doctorCommand: Command = command({
  name: "doctor",
  summary: "what keeps this machine or the cluster from working well",
  about:
    "Looks at this machine and, where its node runs, at the cluster as that node sees it; changes nothing. Ends with status 1 where something " +
    "is wrong, and with 0 where there are at most hints.",
  positionals: [],
  flags: {},
  examples: [
    ["clusterd doctor", "before the first start, or when something is odd"],
    ["clusterd doctor --json", "findings and checks, for programs"],
  ],
  async run(context) {
    const { terminal, signal, home } = context;
    const { examine } = await import("@clusterd/daemon/doctor");
    const client = await findDaemon(home, signal).catch((error: unknown) => {
      if (error instanceof ClusterdError && error.code === "not_running") return null;
      throw error;
    });
    try {
      const report = await examine({
        home,
        signal,
        cluster: client === null ? null : (within) => clusterFacts(client, within),
        onProgress: ({ done, of, waitingFor }) =>
          terminal.progress(`${bar(done / of, BAR_CELLS)} ${done} of ${of}  ${waitingFor}`, "looking at this machine …"),
      });
      terminal.clearProgress();
      if (context.json) terminal.printJson(report);
      else terminal.print(doctorLines(report, terminal.style));
      return report.healthy ? EXIT.done : EXIT.failed;
    } catch (error) {
      if (signal.aborted) throw new ClusterdError("interrupted", "Interrupted.", { cause: error });
      throw error;
    }
  },
});

/** The cluster as the node here knows it, each member asked for a line of its log: what it takes to answer a request. */
async function clusterFacts(client: Client, within: AbortSignal): Promise<ClusterFacts> {
  const state: ClusterState = await client.state();
  const ask = async (node: NodeId): Promise<ClusterFacts["reach"][number]> => {
    const asked = client.get(`/cluster/v1/logs?lines=1&node=${encodeURIComponent(node)}`).then(
      () => null,
      // What refuses has answered.
      (error: unknown) => (error instanceof ClusterdError && REFUSALS.has(error.code) ? null : messageOf(error)),
    );
    const late = new Promise<string>((done) => within.addEventListener("abort", () => done("it takes too long"), { once: true }));
    return { node, trouble: await Promise.race([asked, late]) };
  };
  const others = state.nodes.filter(({ id, state: is }) => id !== state.self && is === "alive");
  return { state, nowMs: Date.now(), reach: await Promise.all(others.map(({ id }) => ask(id))) };
}

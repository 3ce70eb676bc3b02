import type { PlanResult } from "@clusterd/wire";

const gigabytes = (bytes: number): string => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** A plan's reasons as lines of text: why this split, what else was possible, what is left out, what would help. */
export function explainPlan(result: PlanResult): string[] {
  if (!result.feasible) {
    const lines =
      result.reason === "memory"
        ? [
            `It needs ${gigabytes(result.bytesNeeded)}; the machines have ${gigabytes(result.bytesAvailable)} for models: ${result.shortByBytes > 0 ? `short by ${gigabytes(result.shortByBytes)}` : "enough together, but not in pieces that fit"}.`,
          ]
        : result.reason === "head"
          ? ["No machine can be the head: it needs the model's file, and room for the embedding and the output."]
          : ["There are more machines to use than the model has layers, or more stages than the engine takes."];
    return [...lines, ...result.suggestions];
  }
  const slowest = result.stages.reduce((worst, stage) =>
    stage.computeMs + stage.hopMs > worst.computeMs + worst.hopMs ? stage : worst,
  );
  const lines = [
    `${result.head} is the head; ${result.predicted.msPerToken.toFixed(1)} ms per token, most of it on ${slowest.node} (${(slowest.computeMs + slowest.hopMs).toFixed(1)} ms).`,
  ];
  if (result.runnerUp !== null) {
    const loses = (result.runnerUp.msPerToken / result.predicted.msPerToken - 1) * 100;
    lines.push(
      `Next best: ${result.runnerUp.stages.map((stage) => stage.node).join(" + ")}, ${loses >= 0 ? `${loses.toFixed(0)} % slower` : `${(-loses).toFixed(0)} % faster but less even`}.`,
    );
  }
  for (const { node, why } of result.unused) lines.push(`${node} is not used: ${why}.`);
  lines.push(
    result.certificate.optimal ? `Proven best: ${result.certificate.method}.` : `Found by: ${result.certificate.method}.`,
  );
  return [...lines, ...result.notes];
}

import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState, DeploymentView, NodeId, OnDemandView } from "@clusterd/wire";
import { bar, percent } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import { durationText, layerRange, milliseconds, rate, seconds } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { nodeNames } from "./node-names.ts";
import { PHASE_TONES } from "./tones.ts";

const BAR_CELLS = 12;

/** One deployment: what it is, how it does, and each stage of its pipeline. */
export function deploymentLines(state: ClusterState, deployment: DeploymentView, style: Style): string[] {
  const nameOf = nodeNames(state);
  const aliases = deployment.aliases.length > 0 ? style("quiet", ` (${deployment.aliases.map(printable).join(", ")})`) : "";
  const measured =
    deployment.measuredTokensPerSecond === null ? "not measured yet" : `${rate(deployment.measuredTokensPerSecond)} tokens/s`;
  const rows = deployment.stages.map((stage) => [
    nameOf(stage.node) + (stage.node === deployment.head ? style("quiet", " head") : ""),
    layerRange(stage),
    formatBytes(stage.weightBytes),
    formatBytes(stage.kvBytes),
    `${milliseconds(stage.measuredMsPerToken)} ${style("quiet", `(${milliseconds(stage.predictedMsPerToken)})`)}`,
    stage.progress >= 1 ? timingText(stage.timing) : progressText(stage),
  ]);
  const columns = [
    { title: "NODE" },
    { title: "LAYERS" },
    { title: "WEIGHTS", align: "right" as const },
    { title: "KV", align: "right" as const },
    { title: "MS/TOKEN (PREDICTED)" },
    { title: "" },
  ];
  return [
    `${style("strong", printable(deployment.model))}${aliases}  ${style(PHASE_TONES[deployment.state], deployment.state)}`,
    ...(deployment.reason === null ? [] : [`  ${printable(deployment.reason)}`]),
    `  ${measured} (${predictedText(deployment)}) · head ${nameOf(deployment.head)} · ` +
      `context ${deployment.context} × ${deployment.slots} · epoch ${deployment.epoch}`,
    ...queueLines(deployment.queue),
    ...stayLines(deployment.onDemand ?? null),
    ...firstTokenLines(deployment.prediction),
    ...speculationLines(deployment.speculation),
    ...proposalLines(deployment, nameOf, style),
    ...(rows.length === 0 ? [] : table(columns, rows, style).map((line) => `  ${line}`)),
  ];
}

/** The prediction with its range, and how far off it was. */
function predictedText({ predictedTokensPerSecond, prediction: { low, high, error } }: DeploymentView): string {
  const off = error === null ? "" : `, ${error >= 0 ? "+" : "−"}${(Math.abs(error) * 100).toFixed(0)} % off`;
  return `predicted ${rate(predictedTokensPerSecond)}, ${rate(low)} to ${rate(high)}${off}`;
}

/** How long what a request loaded stays; nothing of what a person loaded, which stays. */
function stayLines(onDemand: OnDemandView | null): string[] {
  if (onDemand === null) return [];
  const { keepAliveSeconds, until } = onDemand;
  const when = (ms: number): string => new Date(ms).toLocaleTimeString("en-GB");
  if (until !== null) return [`  loaded by a request · unloaded at ${when(until)} unless it is used`];
  if (keepAliveSeconds === null) return ["  loaded by a request · stays until its room is needed"];
  return [`  loaded by a request · unloaded ${durationText(keepAliveSeconds)} after its last use`];
}

/** Nothing while nobody asks. */
function queueLines({ active, waiting, limit }: DeploymentView["queue"]): string[] {
  if (active === 0 && waiting === 0) return [];
  return [`  ${active} being answered · ${waiting} waiting (at most ${limit})`];
}

function firstTokenLines({
  timeToFirstTokenMs,
  measuredTimeToFirstTokenMs,
  promptTokens,
}: DeploymentView["prediction"]): string[] {
  if (timeToFirstTokenMs === null && measuredTimeToFirstTokenMs === null) return [];
  const measured = measuredTimeToFirstTokenMs === null ? "not measured yet" : seconds(measuredTimeToFirstTokenMs);
  const predicted = timeToFirstTokenMs === null ? "" : ` (predicted ${seconds(timeToFirstTokenMs)})`;
  return [`  first token for a prompt of ${promptTokens}: ${measured}${predicted}`];
}

/** A better placement than the deployed one, and the command that moves to it. */
function proposalLines({ model, proposal, replan }: DeploymentView, nameOf: (node: NodeId) => string, style: Style): string[] {
  if (proposal === null) return [];
  const stages = proposal.stages.map((stage) => `${nameOf(stage.node)} ${layerRange(stage)}`).join(", ");
  const how = replan === "auto" ? "it moves when it is idle" : `clusterd load ${printable(model)} --replan now`;
  const gain = `${(proposal.gain * 100).toFixed(0)} % faster`;
  return [style("warn", `  placed anew it would be ${gain}: ${stages} (head ${nameOf(proposal.head)}); ${how}`)];
}

/** How tokens are guessed ahead, and how often rightly. */
function speculationLines({ type, draft, acceptance, active }: DeploymentView["speculation"]): string[] {
  if (type === "off") return [];
  const by = { draft: `by ${printable(draft ?? "a draft model")}`, ngram: "by n-grams", mtp: "by the model's own layers" }[type];
  const right = acceptance === null ? "nothing guessed yet" : `${percent(acceptance)} of the guesses right`;
  return [`  speculation ${by} · ${right}${active ? "" : " · off while it does not pay"}`];
}

function progressText({ progress, fetch }: DeploymentView["stages"][number]): string {
  return [`${bar(progress, BAR_CELLS)} ${percent(progress)}`, ...fetchText(fetch ?? null)].join("  ");
}

/** How far a node is with fetching its part: `1.2 of 2.1 GB, 11.0 MB/s, 82 s left`; nothing while it fetches nothing. */
function fetchText(fetch: DeploymentView["stages"][number]["fetch"]): string[] {
  if (fetch === null || fetch === undefined) return [];
  const { doneBytes, totalBytes, bytesPerSecond, secondsLeft } = fetch;
  const speed = bytesPerSecond === null ? "" : `, ${formatBytes(bytesPerSecond)}/s`;
  const left = secondsLeft === null || secondsLeft === 0 ? "" : `, ${durationText(Math.ceil(secondsLeft))} left`;
  return [`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}${speed}${left}`];
}

/** Where a stage's time goes, half of its steps being faster. */
function timingText(timing: DeploymentView["stages"][number]["timing"]): string {
  if (timing === null) return "";
  const { computeMs, wireMs, idleMs } = timing;
  return `${milliseconds(computeMs.p50)} work, ${milliseconds(wireMs.p50)} wire, ${milliseconds(idleMs.p50)} idle${timing.encrypted ? "" : ", not encrypted"}`;
}

/** All deployments, a blank line between two. */
export function deploymentsLines(state: ClusterState, style: Style): string[] {
  if (state.deployments.length === 0) return ["Nothing is deployed. Deploy a model: clusterd load REF"];
  return state.deployments.flatMap((deployment, index) => [
    ...(index === 0 ? [] : [""]),
    ...deploymentLines(state, deployment, style),
  ]);
}

/** How far a deployment is, on one line. */
export function progressLine(state: ClusterState, deployment: DeploymentView, style: Style): string {
  const nameOf = nodeNames(state);
  const stages = deployment.stages.map((stage) =>
    [`${nameOf(stage.node)} ${bar(stage.progress, 8)} ${percent(stage.progress)}`, ...fetchText(stage.fetch)].join(" "),
  );
  return [style(PHASE_TONES[deployment.state], deployment.state), printable(deployment.model), ...stages].join("  ");
}

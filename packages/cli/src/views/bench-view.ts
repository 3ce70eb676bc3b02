import type { ClusterState } from "@clusterd/wire";
import type { BenchResult } from "../bench/run-bench.ts";
import type { Spread } from "../bench/figures.ts";
import { counted, layerRange, milliseconds, rate, seconds } from "../text/rate.ts";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { nodeNames } from "./node-names.ts";

const UNKNOWN = "—";

function spread(of: Spread | null, show: (value: number) => string): string {
  if (of === null) return UNKNOWN;
  return of.rounds === 1 ? show(of.median) : `${show(of.median)} (${show(of.low)} to ${show(of.high)})`;
}

/** What was measured of a model, beside what was predicted. */
export function benchLines(result: BenchResult, state: ClusterState, style: Style): string[] {
  const { model, replicas, rounds, prompts, decode, deployments, disturbed, notes, tokensPerAnswer } = result;
  const right = { align: "right" } as const;
  const promptRows = prompts.map((row) => [
    String(row.promptTokens),
    spread(row.promptTokensPerSecond, rate),
    spread(row.timeToFirstTokenMs, seconds),
    row.predictedTimeToFirstTokenMs === null ? UNKNOWN : seconds(row.predictedTimeToFirstTokenMs),
  ]);
  const decodeRows = decode.map((row) => [
    String(row.streams),
    spread(row.tokensPerSecond, rate),
    rate(row.predictedTokensPerSecond),
    row.guessesAccepted === null ? UNKNOWN : `${Math.round(100 * row.guessesAccepted)} %`,
  ]);
  const told =
    disturbed.measurements === 0
      ? []
      : [
          style(
            "warn",
            `Others were served during ${disturbed.measurements} of ${disturbed.of} measurements${disturbed.measurements === disturbed.of ? "" : ", which do not count where there are others"}: measure again when it is quiet.`,
          ),
        ];
  return [
    `${style("strong", printable(model))}${replicas > 1 ? ` × ${replicas}` : ""}  ${style("quiet", `${counted(rounds, "round")}: median (lowest to highest); answers of ${tokensPerAnswer} tokens`)}`,
    "",
    ...table(
      [{ title: "PROMPT", ...right }, { title: "TOKENS/S" }, { title: "FIRST TOKEN AFTER" }, { title: "PREDICTED" }],
      promptRows,
      style,
    ),
    "",
    ...table(
      [{ title: "STREAMS", ...right }, { title: "TOKENS/S" }, { title: "PREDICTED" }, { title: "GUESSES RIGHT" }],
      decodeRows,
      style,
    ),
    ...stageLines(deployments, state, style),
    ...(notes.length + told.length === 0 ? [] : [""]),
    ...told,
    ...notes.map((note) => style("quiet", note)),
  ];
}

function stageLines(deployments: BenchResult["deployments"], state: ClusterState, style: Style): string[] {
  const nameOf = nodeNames(state);
  const rows = deployments.flatMap(({ stages, head }) =>
    stages.map((stage) => [
      `${nameOf(stage.node)}${stage.node === head ? " head" : ""}`,
      layerRange(stage),
      milliseconds(stage.predictedMsPerToken),
      milliseconds(stage.measuredMsPerToken),
      milliseconds(stage.timing?.computeMs.p50 ?? null),
      milliseconds(stage.timing?.wireMs.p50 ?? null),
      milliseconds(stage.timing?.idleMs.p50 ?? null),
    ]),
  );
  const titles = ["NODE", "LAYERS", "PREDICTED MS", "MEASURED MS", "COMPUTE", "WIRE", "IDLE"];
  return rows.length === 0
    ? []
    : [
        "",
        ...table(
          titles.map((title) => ({ title })),
          rows,
          style,
        ),
        style("quiet", "Per token, of the last steps; the head's own layers with all else it does."),
      ];
}

import { placeOf, type DeploymentView, type StageView } from "@clusterd/wire";
import { check, hint, wrong, type Check } from "../check.ts";

/** Measured by predicted time of a stage, from which on something is the matter with it. */
const SLOW_RATIO_MIN = 2;
/** Steps before a stage's figures mean something. */
const STEPS_MIN = 50;

const failedCheck: Check = check({
  name: "deployments",
  title: "deployments",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    return state.deployments.flatMap(({ model, state: phase, reason }) => {
      if (phase === "failed")
        return [
          wrong(
            model,
            `it failed: ${reason ?? "no reason was given"}`,
            "requests for it are refused",
            `Remove the cause, then: clusterd load ${model}. Or take it off: clusterd unload ${model}`,
          ),
        ];
      if (phase === "recovering")
        return [
          hint(
            model,
            `it is being started again: ${reason ?? "a part of it was lost"}`,
            "requests wait",
            "See how far it is: clusterd ps",
          ),
        ];
      return [];
    });
  },
});

const paceCheck: Check = check({
  name: "pace",
  title: "stages as fast as predicted",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    const names = new Map(state.nodes.map(({ id, name }) => [id, name]));
    const slow = (stage: StageView): boolean =>
      stage.measuredMsPerToken !== null &&
      (stage.timing?.steps ?? 0) >= STEPS_MIN &&
      stage.predictedMsPerToken > 0 &&
      stage.measuredMsPerToken > SLOW_RATIO_MIN * stage.predictedMsPerToken;
    const found = ({ model, stages }: DeploymentView): ReturnType<typeof hint>[] =>
      stages
        .filter(slow)
        .map(({ node, measuredMsPerToken, predictedMsPerToken }) =>
          hint(
            `${model} on ${names.get(placeOf(node).node) ?? node}`,
            `its stage takes ${measuredMsPerToken?.toFixed(1)} ms a token; ${predictedMsPerToken.toFixed(1)} were predicted`,
            "the whole pipeline waits for it",
            "Look what else that machine does, and whether it is hot; then measure: clusterd bench",
          ),
        );
    return state.deployments.flatMap(found);
  },
});

const proposalCheck: Check = check({
  name: "placement",
  title: "placements as good as any",
  needs: ["cluster"],
  find({ cluster: { state } }) {
    return state.deployments.flatMap(({ model, proposal }) =>
      proposal === null
        ? []
        : [
            hint(
              model,
              `another placement would be ${Math.round(proposal.gain * 100)} % faster`,
              "machines or links have changed since it was loaded",
              `Move it: clusterd load ${model} --replan now`,
            ),
          ],
    );
  },
});

export const DEPLOYMENT_CHECKS: readonly Check[] = [failedCheck, paceCheck, proposalCheck];

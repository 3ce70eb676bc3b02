import { proofSlack, ROUNDING, type Effort } from "./effort.ts";
import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { bestInOrder, orderBySpeed, orderLike } from "./in-order.ts";
import { searchLabels } from "./labels.ts";
import { isPlacement, type Path } from "./path.ts";
import { reachEnd, reachGreedily } from "./reach.ts";
import { relax, STEP_FIRST, type Look } from "./relaxation.ts";
import { NEAR_BEST } from "./search.ts";

/** Every so many of them, the relaxation's path is made into a placement. */
const REPAIR_EVERY = 6;

export interface Solved {
  /** The fastest placement (or the first found, where any will do) that is faster than what was to be beaten; null where there is none. */
  readonly path: Path | null;
  /** No placement under this head is faster than this, unless the search stopped at the first found. */
  readonly boundMs: number;
  /** Whether the bound is the path's own time, or what was to be beaten. */
  readonly complete: boolean;
}

/** The fastest placement under one head, if it takes less than `belowMs`; with `anyWill` the first such. */
export function solve(field: Field, problem: HeadProblem, belowMs: number, effort: Effort, anyWill = false): Solved {
  const bySpeed = orderBySpeed(problem);
  field.effort.explored++;
  let best: Path | null = null;
  const offer = (path: Path | null): void => {
    if (path !== null && path.ms < (best?.ms ?? belowMs) * (1 - ROUNDING) && isPlacement(problem, path.stages)) best = path;
  };
  const done = (boundMs: number, complete: boolean): Solved => ({ path: best, boundMs, complete });
  const limit = (): number => best?.ms ?? belowMs;
  const open = 1 - proofSlack(field.members.length, problem.uniform);
  const enough = (): boolean => anyWill && best !== null;
  offer(bestInOrder(problem, bySpeed));
  if (problem.uniform) return done(limit(), true);
  if (enough()) return done(0, false);
  if (best === null) offer(reachGreedily(problem));
  if (enough()) return done(0, false);
  const certain = limit();
  if (certain === Infinity && problem.groups.every((group) => group.least === 0)) {
    const reach = reachEnd(field, problem);
    if (reach.path === null)
      return reach.sure ? done(Infinity, true) : done(relax(field, problem, Infinity, effort.steps).boundMs, false);
    offer(reach.path);
    if (enough()) return done(0, false);
  }
  const repair = (stages: Path["stages"]): Path | null => bestInOrder(problem, orderLike(problem, stages, bySpeed));
  let step = 0;
  const look: Look = ({ stages }) => {
    if (step++ % REPAIR_EVERY === 0) offer(repair(stages));
    return enough() ? -Infinity : limit() * open;
  };
  let relaxation = relax(field, problem, limit() * open, effort.steps, look);
  // Steps that led nowhere are begun anew, and shorter, where the bound is still far off.
  for (let again = 1; again <= effort.restarts && !enough() && relaxation.boundMs < limit() * (1 - NEAR_BEST); again++) {
    const next = relax(field, problem, limit() * open, effort.steps, look, STEP_FIRST / 3 ** again);
    if (next.boundMs > relaxation.boundMs) relaxation = next;
  }
  if (enough()) return done(0, false);
  if (relaxation.boundMs >= limit() * open) return done(limit(), true);
  const search = searchLabels(field, relaxation, limit() * (open < 1 - ROUNDING ? open : 1), effort.labels, anyWill, repair);
  offer(search.path);
  return done(search.complete ? limit() : Math.min(search.boundMs, limit()), search.complete);
}

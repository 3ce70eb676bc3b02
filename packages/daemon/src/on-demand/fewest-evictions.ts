/**
 * Which of the candidates, least recently used first, have to go so that something fits: none beyond the shortest row of the oldest ones
 * that makes room, and of that row none without which it fits as well, the younger ones spared first. Null where all of them are not
 * enough. `fits` is asked about sets that shall go, and holds for every larger set where it holds.
 */
export function fewestEvictions<Candidate>(
  oldestFirst: readonly Candidate[],
  fits: (gone: readonly Candidate[]) => boolean,
): readonly Candidate[] | null {
  if (fits([])) return [];
  if (oldestFirst.length === 0 || !fits(oldestFirst)) return null;
  // The shortest row: `low` do not make room, `high` do.
  let [low, high] = [0, oldestFirst.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(oldestFirst.slice(0, middle))) high = middle;
    else low = middle;
  }
  let chosen = oldestFirst.slice(0, high);
  // The last of the row is needed: without it the row was too short.
  for (const candidate of chosen.slice(0, -1).toReversed()) {
    const without = chosen.filter((other) => other !== candidate);
    if (fits(without)) chosen = without;
  }
  return chosen;
}

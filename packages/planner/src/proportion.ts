import type { Field, Member } from "./field.ts";

/** How many layers each machine holds. */
export type Counts = Map<Member, number>;

/**
 * Layers in proportion to the budgets: the whole part of each share, what is left to the largest remainders, at least one each; pinned
 * machines hold their pins. Null where there are not enough layers for all.
 */
export function proportional({ members, layerCount }: Field): Counts | null {
  const counts: Counts = new Map();
  let layers = layerCount;
  for (const member of members) {
    if (member.pin === null) continue;
    counts.set(member, member.pin.lastLayer - member.pin.firstLayer + 1);
    layers -= counts.get(member) ?? 0;
  }
  const free = members.filter(({ pin }) => pin === null);
  if (layers < free.length || (free.length === 0 && layers > 0)) return null;
  const total = free.reduce((sum, { node }) => sum + node.memoryBytes, 0);
  const shares = free.map((member) => ({ member, share: (layers * member.node.memoryBytes) / total }));
  for (const { member, share } of shares) counts.set(member, Math.max(1, Math.floor(share)));
  let left = layers - shares.reduce((sum, { member }) => sum + (counts.get(member) ?? 0), 0);
  const byRemainder = [...shares].sort(
    (a, b) => (b.share % 1) - (a.share % 1) || (a.member.node.name < b.member.node.name ? -1 : 1),
  );
  for (let index = 0; left > 0; index = (index + 1) % byRemainder.length) {
    const { member } = byRemainder[index] ?? {};
    if (member !== undefined && (byRemainder[index]?.share ?? 0) >= 1) {
      counts.set(member, (counts.get(member) ?? 0) + 1);
      left--;
    } else if (byRemainder.every(({ share }) => share < 1)) break;
  }
  // "At least one each" may have given out too much: who is furthest above its share gives back.
  for (; left < 0; left++) {
    const [most] = shares
      .filter(({ member }) => (counts.get(member) ?? 0) > 1)
      .sort(
        (a, b) =>
          (counts.get(b.member) ?? 0) - b.share - ((counts.get(a.member) ?? 0) - a.share) ||
          (a.member.node.name < b.member.node.name ? 1 : -1),
      );
    if (most === undefined) return null;
    counts.set(most.member, (counts.get(most.member) ?? 0) - 1);
  }
  return counts;
}

/** Moves a layer from the machine that is fullest to the one with the most room left. Whether there are two such. */
export function moveOne(field: Field, counts: Counts): boolean {
  const { cost, layerCount } = field;
  const bytes = (count: number): number => (cost.memoryBytes(0, layerCount, false) * count) / layerCount;
  const free = [...counts]
    .filter(([{ pin }]) => pin === null)
    .map(([member, count]) => ({ member, count, room: member.node.memoryBytes - bytes(count) }))
    .sort(
      (a, b) =>
        a.room / a.member.node.memoryBytes - b.room / b.member.node.memoryBytes ||
        (a.member.node.name < b.member.node.name ? -1 : 1),
    );
  const from = free.find(({ count }) => count > 1);
  const [to] = [...free].sort((a, b) => b.room - a.room || (a.member.node.name < b.member.node.name ? -1 : 1));
  if (from === undefined || to === undefined || from.member === to.member) return false;
  counts.set(from.member, from.count - 1);
  counts.set(to.member, to.count + 1);
  return true;
}

/** Runs `work` on every item in order, at most `limit` at a time; the first failure ends it and is thrown. */
export async function eachLimited<Item>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, at: number) => Promise<void>,
): Promise<void> {
  const waiting = items.entries();
  let failed = false;
  const run = async (): Promise<void> => {
    for (const [at, item] of waiting) {
      if (failed) return;
      try {
        await work(item, at);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(Math.max(1, limit), items.length) }, run));
}

/** Plain words, most of them one token in most vocabularies. */
const WORDS: readonly string[] = (
  "river stone lamp green seven mountain paper window market letter silver garden table cloud engine winter music bread island " +
  "north forest kitchen yellow train doctor picture summer field number water morning street teacher bottle village question " +
  "horse simple circle story money evening camera ocean pencil family minute orange reason travel"
).split(" ");

/** A word of another prompt of the same length differs from the first on: nothing of it is found in a cache. */
export function promptText(words: number, random: () => number): string {
  return Array.from({ length: Math.max(1, words) }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");
}

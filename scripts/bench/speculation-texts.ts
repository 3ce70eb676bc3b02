const WORDS: readonly string[] =
  "apple pear plum cherry grape melon lemon peach olive house river stone bread water table chair music horse green paper window garden".split(
    " ",
  );
const NAMES: readonly string[] = ["a cat", "a king", "an old man", "a small dog", "a bird", "a girl", "a fox", "a farmer"];

/** The words in an order of the round's own. */
function dealt(round: number): readonly string[] {
  const step = [1, 3, 5, 7, 9, 13, 15, 17, 19, 21][round % 10] ?? 1;
  return WORDS.map((_, index) => WORDS[(index * step + round * 4) % WORDS.length] ?? "");
}

/**
 * What is gone on with, from text that says again what it has said to text that never does. Every round has its own: a mode that
 * remembers earlier requests would otherwise be measured on answers it has seen.
 */
export const SPECULATION_TEXTS: readonly { readonly name: string; readonly prompt: (round: number) => string }[] = [
  { name: "a list of 9 words, over and over", prompt: (round) => `${dealt(round).slice(0, 9).join(", ")}, `.repeat(3) },
  { name: "a list of 20 words, said again", prompt: (round) => `${dealt(round).slice(0, 20).join(", ")}, `.repeat(2) },
  {
    name: "counting",
    prompt: (round) => `${Array.from({ length: 10 }, (_, index) => index + 1 + 3 * round).join(" ")} `.repeat(2),
  },
  { name: "a story", prompt: (round) => `Once upon a time there was ${NAMES[round % NAMES.length]}` },
];

// Names and metadata come from files that anyone may have made: escape sequences first (so that their letters go too),
// then whatever control, bidirectional-override or invisible character is left.
// oxlint-disable-next-line no-control-regex
const ESCAPE_SEQUENCES = /\u001B\[[0-?]*[ -/]*[@-~]|\u001B\][^\u0007\u001B]*(?:\u0007|\u001B\\)?|\u001B[@-Z\\-_]/gu;
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Co}\u061C\u200B-\u200F\u2028-\u202E\u2060-\u2069\uFEFF]/gu;

/** Text that is safe on a terminal, in a log and in a page: no control characters, at most `lengthMax` characters. */
export function plainText(text: string, lengthMax: number): string {
  // Cut before matching, so that a text of megabytes costs nothing; once more after it, to count what is left.
  const cleaned = text
    .slice(0, lengthMax * 4)
    .replace(ESCAPE_SEQUENCES, "")
    .replace(UNPRINTABLE, " ")
    .replace(/\s+/gu, " ")
    .trim();
  const characters = Array.from(cleaned);
  return characters.length <= lengthMax ? cleaned : `${characters.slice(0, lengthMax - 1).join("")}…`;
}

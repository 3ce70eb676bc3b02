// Control characters, and the marks that reorder or hide text: what another machine calls itself must not move our cursor.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/** Text from another machine on one line, with everything that could drive a terminal made visible. */
export function printable(text: string): string {
  return text.replace(UNSAFE, visible);
}

/** The same for text of several lines: line breaks and tabs stay. */
export function printableLines(text: string): string {
  return text.replace(UNSAFE, (character) => (character === "\n" || character === "\t" ? character : visible(character)));
}

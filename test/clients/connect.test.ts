import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";
import { findGuide } from "../../packages/cli/src/connect/find-guide.ts";
import { CAPITAL, MODEL } from "./harness/questions.ts";

const run = promisify(execFile);
/** Where the SDKs are. */
const TESTS = resolve(import.meta.dirname, "..");

/** What comes of pasting a guide's lines, as they are. */
async function pasted(name: string, language: "sh" | "javascript", origin: string, key: string): Promise<string> {
  const snippets = findGuide(name).snippets({ origin, model: MODEL, context: null, key });
  const { text } = snippets.find((snippet) => snippet.language === language) ?? { text: "" };
  const { stdout } = await (language === "sh"
    ? run("/bin/sh", ["-c", text], { cwd: TESTS })
    : run(process.execPath, ["--input-type=module", "--eval", text], { cwd: TESTS }));
  return stdout;
}

test("curl's lines bring an answer", async () => {
  expect(await pasted("curl", "sh", inject("url"), "none")).toContain(CAPITAL.answer);
});

// What is in test/package.json.
test.each(["openai-js", "anthropic-js", "ollama", "langchain", "ai-sdk"])("the lines of %s bring an answer", async (name) => {
  expect(await pasted(name, "javascript", inject("url"), "none")).toContain("Paris");
});

test.each(["openai-js", "anthropic-js", "ollama"])(
  "with a key, those of %s do where one is needed; without it they do not",
  async (name) => {
    expect(await pasted(name, "javascript", inject("openUrl"), inject("key"))).toContain("Paris");
    await expect(pasted(name, "javascript", inject("openUrl"), "YOUR_KEY")).rejects.toThrow(/401|API key/);
  },
);

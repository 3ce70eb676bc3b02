import { expect, test } from "vitest";
import { childEnvironment } from "./child-environment.ts";

test("passes what a program needs to run, and nothing that would change what it does", () => {
  const own = {
    PATH: "/bin",
    HOME: "/home/a",
    LLAMA_ARG_CTX_SIZE: "1",
    NODE_OPTIONS: "--inspect",
    LLAMA_API_KEY: "old",
    SECRET: "s",
    LANG: undefined,
  };
  expect(childEnvironment({ LLAMA_API_KEY: "new" }, own)).toEqual({ PATH: "/bin", HOME: "/home/a", LLAMA_API_KEY: "new" });
});

import { describe, expect, test } from "vitest";
import { lastWords } from "./build-engine.ts";
import { linuxInstallCommand } from "./build-tools.ts";
import { buildFraction, compileJobs } from "./compile.ts";
import { parseVersion } from "./inspect.ts";

describe("a build's output", () => {
  test("tells how far it is, with ninja and with make", () => {
    expect(buildFraction("[4/16] Building CXX object a.o")).toBe(0.25);
    expect(buildFraction("[ 50%] Building CXX object a.o")).toBe(0.5);
    expect(buildFraction("-- Configuring done")).toBeNull();
  });

  test("is cut to the lines that say what went wrong", () => {
    const output = [
      "[1/16] Building error.cpp.o",
      "FAILED: a.o",
      "a.cpp:5:10: fatal error: x.h: No such file",
      "ninja: build stopped",
    ].join("\n");
    expect(lastWords(output)).toBe("a.cpp:5:10: fatal error: x.h: No such file");
    expect(lastWords("one\n\ntwo\n")).toBe("one\ntwo");
  });
});

describe("the number of compilers", () => {
  test("is bounded by processors and by memory, and never none", () => {
    expect(compileJobs(2, 8e9)).toBe(2);
    expect(compileJobs(8, 3.4e9)).toBe(3);
    expect(compileJobs(4, 1e8)).toBe(1);
    expect(compileJobs(128, 1e12)).toBe(16);
  });
});

describe("what to install", () => {
  test("is said in the words of the distribution", () => {
    expect(linuxInstallCommand('ID=debian\nVERSION_ID="12"\n')).toMatch(/^sudo apt-get install .*cmake/);
    expect(linuxInstallCommand('ID=linuxmint\nID_LIKE="ubuntu debian"\n')).toMatch(/apt-get/);
    expect(linuxInstallCommand("ID=fedora\n")).toMatch(/dnf/);
    expect(linuxInstallCommand('ID=manjaro\nID_LIKE="arch"\n')).toMatch(/pacman/);
    expect(linuxInstallCommand("")).toMatch(/package manager/);
  });
});

describe("llama-server's version", () => {
  test("is a release or a build number", () => {
    expect(parseVersion("0.00 I srv\nversion: 0.5.0-dev (build 1, commit 0ad4a86)\nbuilt with GNU")).toBe("0.5.0-dev");
    expect(parseVersion("version: 6123 (79c1160b)\n")).toBe("b6123");
    expect(parseVersion("")).toBe("unknown");
  });
});

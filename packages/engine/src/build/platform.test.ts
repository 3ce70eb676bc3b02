import { describe, expect, test } from "vitest";
import { engineCacheFolder } from "./cache-folder.ts";
import { enginePlatform } from "./platform.ts";
import { sameRpcProtocol } from "./rpc-protocol.ts";

describe("the engine's platform", () => {
  test("is named as node-llama-cpp names it", () => {
    expect(enginePlatform("linux", "x64")).toMatchObject({ name: "linux-x64", plainPackage: "@node-llama-cpp/linux-x64" });
    expect(enginePlatform("darwin", "arm64")).toMatchObject({
      name: "mac-arm64",
      plainPackage: "@node-llama-cpp/mac-arm64-metal",
    });
    expect(enginePlatform("win32", "x64")).toMatchObject({ name: "win-x64", executableSuffix: ".exe" });
  });

  test("is none where there are no libraries", () => {
    expect(enginePlatform("freebsd", "x64")).toBeNull();
    expect(enginePlatform("darwin", "riscv64")).toBeNull();
    expect(enginePlatform("linux", "s390x")).toBeNull();
  });
});

describe("the cache folder", () => {
  test("follows each system's custom", () => {
    expect(engineCacheFolder({ XDG_CACHE_HOME: "/c" }, "linux", "/home/a")).toBe("/c/clusterd/engine");
    expect(engineCacheFolder({ XDG_CACHE_HOME: "relative" }, "linux", "/home/a")).toBe("/home/a/.cache/clusterd/engine");
    expect(engineCacheFolder({}, "linux", "/home/a")).toBe("/home/a/.cache/clusterd/engine");
    expect(engineCacheFolder({ XDG_CACHE_HOME: "/c" }, "darwin", "/Users/a")).toBe("/Users/a/Library/Caches/clusterd/engine");
    expect(engineCacheFolder({ LOCALAPPDATA: "C:\\L" }, "win32", "C:\\U")).toBe("C:\\L\\clusterd\\engine");
  });
});

describe("RPC protocols", () => {
  test("agree only where all three numbers do", () => {
    expect(sameRpcProtocol("7.0.0", "7.0.0")).toBe(true);
    expect(sameRpcProtocol("7.0.0", "7.0.1")).toBe(false);
    expect(sameRpcProtocol("7.0.0", "7.1.0")).toBe(false);
    expect(sameRpcProtocol("unknown", "unknown")).toBe(false);
  });
});

import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fakeBackend } from "../testing/fake-backend.ts";
import { gatewayFor, get } from "../testing/client.ts";
import { asset } from "./assets.ts";

let root: string;
let dist: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "clusterd-assets-"));
  dist = join(root, "dist");
  await mkdir(join(dist, "assets"), { recursive: true });
  await writeFile(join(dist, "index.html"), "<!doctype html><title>clusterd</title>");
  await writeFile(join(dist, "assets", "index-Dk3x_9aB.js"), "export {};");
  await writeFile(join(dist, "favicon.svg"), "<svg/>");
  await writeFile(join(dist, "unknown.bin"), "x");
  await writeFile(join(root, "secret.txt"), "secret");
  await symlink(join(root, "secret.txt"), join(dist, "link.txt"));
});

afterAll(() => rm(root, { recursive: true }));

describe("the dashboard", () => {
  test("is served with its types, under a policy that lets nothing else in", async () => {
    const gateway = gatewayFor(fakeBackend(), { assetsDir: dist });
    const page = await get(gateway, "/");
    expect(await page.text()).toContain("<title>clusterd</title>");
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    const script = await get(gateway, "/assets/index-Dk3x_9aB.js");
    expect([script.status, script.headers.get("content-type")]).toEqual([200, "text/javascript; charset=utf-8"]);
    expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect((await get(gateway, "/favicon.svg")).headers.get("cache-control")).toBe("no-cache");
  });

  test("says so where it has not been built", async () => {
    for (const assetsDir of [null, join(root, "nowhere")]) {
      const page = await get(gatewayFor(fakeBackend(), { assetsDir }), "/");
      expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("has not been built")]);
    }
  });

  test.each([
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%5csecret.txt",
    "/assets/../../secret.txt",
    "//etc/passwd",
    "/etc/passwd",
    "/C:/secret.txt",
    "/index.html%00.js",
    "/link.txt",
    "/.env",
    "/assets",
    "/assets/",
    "/unknown.bin",
    "/missing.js",
  ])("has no %s", async (path) => {
    expect((await get(gatewayFor(fakeBackend(), { assetsDir: dist }), path)).status).toBe(404);
    // The same path as it would be without the URL parser in front.
    expect(await asset(dist, path)).toBeNull();
    expect(await asset(dist, decodeURIComponent(path))).toBeNull();
  });
});

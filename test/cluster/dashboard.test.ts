import { existsSync, readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const CHROMIUM = "/usr/bin/chromium";
const AXE: string = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const host = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });

describe.runIf(existsSync(CHROMIUM))("the dashboard, in a browser, on a real node", () => {
  let browser: Browser;
  let page: Page;
  let node: TestNode;
  let second: TestNode | null = null;
  const problems: string[] = [];
  const shots: Promise<string> = mkdtemp(join(tmpdir(), "clusterd-pages-"));

  beforeAll(async () => {
    node = await startNode(host("mini-1"), { args: ["--no-mdns", "--cluster", "home"] });
    const { api } = await node.event("ready");
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
    page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(`${String(api)}/`);
  });
  afterAll(async () => {
    await browser.close();
    await second?.[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
  });

  /** What a screen reader or a keyboard would stumble over. */
  async function violations(): Promise<string[]> {
    // Evaluated through the browser's own channel: the page's security policy lets no such script in.
    return await page.evaluate<string[]>(
      `${AXE}; axe.run().then((result) => result.violations.map((each) => each.id + ": " + each.nodes.map((one) => one.html).join(" ")))`,
    );
  }
  const shot = async (name: string): Promise<void> =>
    void (await page.screenshot({ path: join(await shots, `${name}.png`), fullPage: true }));

  test("says what to type where nothing runs", async () => {
    await page.getByText("Nothing is deployed").waitFor();
    expect(await page.textContent("h1")).toContain("home");
    expect(await violations()).toEqual([]);
    await shot("empty");
  });

  test("shows a waiting machine and lets it in", async () => {
    const mesh = String(((await node.event("ready"))["mesh"] as string[])[0]);
    second = await startNode(host("pi"), { args: ["--no-mdns", "--peer", mesh] });
    const { code } = await second.event("pending");
    await page.getByText(String(code)).waitFor();
    expect(await violations()).toEqual([]);
    await shot("pending");
    await page.getByRole("button", { name: /Approve pi/ }).click();
    await page.getByText("pi is a member now.").waitFor();
    await second.event("admitted");
    await page.getByRole("heading", { name: "pi" }).waitFor();
  });

  test("shows the layers over the machines as they load, live", async () => {
    await node.until((state) => state.nodes.filter((each) => each.state === "alive").length === 2, "two nodes");
    expect((await node.run("load", "demo", "--objective", "spread", "--wait")).status).toBe(0);
    await page.getByText("ready", { exact: true }).waitFor();
    const state = await node.state();
    for (const stage of state.deployments[0]?.stages ?? [])
      await page.getByText(`layers ${stage.firstLayer}–${stage.lastLayer}`).waitFor();
    await page.getByText("Layers as a table").click();
    expect(await page.getByRole("row").count()).toBe(3);
    expect(await violations()).toEqual([]);
    await shot("ready");
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
    await shot("narrow");
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await violations()).toEqual([]);
    await shot("dark");
    expect(problems).toEqual([]);
    process.stderr.write(`screenshots in ${await shots}\n`);
  });
});

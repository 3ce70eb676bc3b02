import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { hubGet } from "./hub-request.ts";
import { isInternalHost } from "./internal-address.ts";

test.each([
  "127.0.0.1",
  "127.1.2.3",
  "10.1.2.3",
  "172.31.255.255",
  "192.168.0.9",
  "169.254.169.254",
  "100.100.0.1",
  "0.0.0.0",
  "[::1]",
  "[fe80::1]",
  "[fd00::5]",
  "[::ffff:10.0.0.1]",
  "localhost",
  "router",
  "nas.local",
  "metadata.google.internal",
  "LOCALHOST.",
])("%s is inside", (host) => {
  expect(isInternalHost(new URL(`http://${host}/`).hostname)).toBe(true);
});

test.each(["huggingface.co", "cdn-lfs.hf.co", "8.8.8.8", "172.32.0.1", "[2606:4700::1]", "local.example.com"])(
  "%s is not",
  (host) => {
    expect(isInternalHost(new URL(`http://${host}/`).hostname)).toBe(false);
  },
);

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

test("nobody is sent from a hub of the internet into the network around", async () => {
  let asked = 0;
  const inside = createServer((_, response) => {
    asked += 1;
    response.end("secret");
  }).listen(0, "127.0.0.1");
  servers.push(inside);
  await new Promise((listening) => inside.once("listening", listening));
  const location = `http://127.0.0.1:${(inside.address() as AddressInfo).port}/`;
  const { fetch: real } = globalThis;
  // The internet is out of reach here: its hub is a redirect.
  globalThis.fetch = (async (url: URL | string, options?: RequestInit) =>
    new URL(String(url)).host === "hub.example.com"
      ? new Response(null, { status: 302, headers: { location } })
      : real(url, options)) as typeof fetch;
  try {
    const config = { endpoint: "http://hub.example.com", token: null, offline: false };
    const request = { path: "/o/r/resolve/0123abcd/x.gguf", repo: "o/r", mayLeave: true };
    const { signal } = new AbortController();
    await expect(hubGet(config, request, 100, signal)).rejects.toThrow(/into the network around/u);
    expect(asked).toBe(0);
    // A hub that is itself inside, a mirror at home, may keep its files beside it.
    const mirror = { ...config, endpoint: location.replace(/\/$/u, "") };
    expect((await hubGet(mirror, request, 100, signal)).body.toString()).toBe("secret");
  } finally {
    globalThis.fetch = real;
  }
});

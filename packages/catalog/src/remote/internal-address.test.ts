import type { lookup, LookupAddress } from "node:dns";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { startTestProxy } from "../testing/proxy-server.ts";
import { guardedLookup } from "./hub-dispatch.ts";
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
  "[::10.0.0.1]",
  "[64:ff9b::a9fe:a9fe]",
  "[ff02::1]",
  "224.0.0.251",
  "255.255.255.255",
  "0x7f.1",
  "2130706433",
  "localhost",
  "router",
  "nas.local",
  "metadata.google.internal",
  "LOCALHOST.",
])("%s is inside", (host) => {
  expect(isInternalHost(new URL(`http://${host}/`).hostname)).toBe(true);
});

test.each([
  "huggingface.co",
  "cdn-lfs.hf.co",
  "8.8.8.8",
  "172.32.0.1",
  "[2606:4700::1]",
  "[64:ff9b::808:808]",
  "local.example.com",
])("%s is not", (host) => {
  expect(isInternalHost(new URL(`http://${host}/`).hostname)).toBe(false);
});

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
  // The internet is out of reach here: its hub, a redirect, is behind a proxy.
  const hub = createServer((_, response) => response.writeHead(302, { location }).end()).listen(0, "127.0.0.1");
  servers.push(hub);
  await new Promise((listening) => hub.once("listening", listening));
  await using proxy = await startTestProxy({ hosts: { "hub.example.com:80": (hub.address() as AddressInfo).port } });
  const proxies = { http: proxy.url, https: null, none: "" };
  const config = { endpoint: "http://hub.example.com", token: null, offline: false, proxies };
  const request = { path: "/o/r/resolve/0123abcd/x.gguf", repo: "o/r", mayLeave: true };
  const { signal } = new AbortController();
  await expect(hubGet(config, request, 100, signal)).rejects.toThrow(/into the network around/u);
  expect(proxy.seen).toEqual(["GET http://hub.example.com/o/r/resolve/0123abcd/x.gguf"]);
  expect(asked).toBe(0);
  // A hub that is itself inside, a mirror at home, may keep its files beside it.
  const mirror = { ...config, endpoint: location.replace(/\/$/u, "") };
  expect((await hubGet(mirror, request, 100, signal)).body.toString()).toBe("secret");
});

const names: Readonly<Record<string, string>> = {
  "hub.example.com": "8.8.8.8",
  "home.example.com": "10.0.0.7",
  "store.example.com": "9.9.9.9",
  "evil.example.com": "169.254.169.254",
};
const resolve = ((host: string, _: unknown, answer: (error: Error | null, found: LookupAddress[]) => void) =>
  answer(null, [{ address: names[host] ?? "", family: 4 }])) as unknown as typeof lookup;
const found = (home: string, host: string): Promise<string> =>
  new Promise((give, refuse) =>
    guardedLookup(home, resolve)(host, {}, (error, address) => (error === null ? give(address as string) : refuse(error))),
  );

test("a name of the internet that resolves to the network around is not connected to", async () => {
  expect(await found("hub.example.com", "store.example.com")).toBe("9.9.9.9");
  await expect(found("hub.example.com", "evil.example.com")).rejects.toThrow(/in the network around/u);
  // The configured hub is itself there, by another name: a mirror at home.
  expect(await found("home.example.com", "evil.example.com")).toBe("169.254.169.254");
});

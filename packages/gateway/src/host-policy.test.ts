import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { hostAllowed, hostName } from "./host-policy.ts";

describe("hosts that may be named", () => {
  test.each(["localhost", "LOCALHOST:2573", "localhost.", "127.0.0.1", "127.0.0.1:2573", "127.255.0.9:1", "[::1]", "[::1]:2573"])(
    "%s",
    (host) => {
      expect(hostAllowed(host, [])).toBe(true);
    },
  );

  test.each([
    "evil.com",
    "127.evil.com",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "evil-localhost",
    "192.168.1.5",
    "10.0.0.1:2573",
    "[fe80::1]",
    "::1",
    "127.0.0.1:99999",
    "127.0.0.1@evil.com",
    "127.0.0.256",
    "2130706433",
    "0x7f.1",
    "",
    " ",
    "127.0.0.1/x",
    "[127.0.0.1]",
    "a b",
  ])("not %s", (host) => {
    expect(hostAllowed(host, [])).toBe(false);
  });

  test("listed names and addresses, without regard to case", () => {
    expect(hostAllowed("Mini-1.local:2573", ["mini-1.local"])).toBe(true);
    expect(hostAllowed("192.168.1.5:2573", ["192.168.1.5"])).toBe(true);
    expect(hostAllowed("192.168.1.6:2573", ["192.168.1.5"])).toBe(false);
  });

  test("a node that listens everywhere takes any address, but still no other name", () => {
    expect(hostAllowed("192.168.1.5:2573", ["0.0.0.0"])).toBe(true);
    expect(hostAllowed("[fe80::1]:2573", ["::"])).toBe(true);
    expect(hostAllowed("evil.com", ["0.0.0.0"])).toBe(false);
  });
});

property.prop([fc.domain(), fc.integer({ min: 1, max: 65_535 })])("no domain is ever taken unlisted", (domain, port) => {
  fc.pre(domain !== "localhost");
  expect(hostAllowed(`${domain}:${port}`, ["0.0.0.0", "::"])).toBe(false);
  expect(hostAllowed(`${domain}:${port}`, [domain])).toBe(true);
});

property.prop([fc.ipV4()])("an address keeps its name whatever its port", (address) => {
  expect(hostName(`${address}:80`)).toBe(hostName(address));
});

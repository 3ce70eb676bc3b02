import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { isTrusted, parseTrustedLink } from "./trusted-link.ts";

const own = (address: string, cidr: string, family: "IPv4" | "IPv6", scopeid = 0) => ({
  address,
  cidr,
  netmask: "",
  mac: "02:00:00:00:00:01",
  internal: address === "127.0.0.1",
  ...(family === "IPv6" ? { family, scopeid } : { family }),
});
const INTERFACES = {
  lo: [own("127.0.0.1", "127.0.0.1/8", "IPv4")],
  eth0: [own("192.168.1.5", "192.168.1.5/24", "IPv4"), own("fe80::1", "fe80::1/64", "IPv6", 2)],
  thunderbolt0: [
    own("10.9.0.1", "10.9.0.1/30", "IPv4"),
    own("fd00:9::1", "fd00:9::1/64", "IPv6"),
    own("fe80::2", "fe80::2/64", "IPv6", 7),
  ],
} as unknown as NonNullable<Parameters<typeof parseTrustedLink>[1]>;
const trusts = (link: string, address: string | undefined): boolean =>
  isTrusted([parseTrustedLink(link, INTERFACES)], address, () => INTERFACES);

test.each([
  ["10.0.0.0/24", "10.0.0.200", true],
  ["10.0.0.7/24", "10.0.0.200", true],
  ["10.0.0.0/24", "10.0.1.1", false],
  ["10.0.0.0/24", "::ffff:10.0.0.3", true],
  ["10.0.0.0/24", "::ffff:10.0.1.3", false],
  ["10.0.0.0/24", "127.0.0.1", false],
  ["fd00:9::/64", "fd00:9::77", true],
  ["fd00:9::/64", "fd00:a::77", false],
  ["thunderbolt0", "10.9.0.2", true],
  ["thunderbolt0", "10.9.0.4", false],
  ["thunderbolt0", "192.168.1.6", false],
  ["thunderbolt0", "127.0.0.1", false],
  ["thunderbolt0", "fd00:9::2", true],
  ["thunderbolt0", "fe80::3%thunderbolt0", true],
  ["thunderbolt0", "fe80::3%7", true],
  // The same range lies on every interface: without the right zone it may be another one's.
  ["thunderbolt0", "fe80::3%eth0", false],
  ["thunderbolt0", "fe80::3", false],
  ["lo", "127.0.0.1", true],
  ["10.0.0.0/24", undefined, false],
  ["10.0.0.0/24", "worker.local", false],
])("%s trusts %s: %s", (link, address, expected) => {
  expect(trusts(link, address)).toBe(expected);
});

test("no link, nobody; an interface that is gone, nobody; one that has come by another address, its new range", () => {
  const link = parseTrustedLink("thunderbolt0", INTERFACES);
  expect(isTrusted([], "10.9.0.2", () => INTERFACES)).toBe(false);
  expect(isTrusted([link], "10.9.0.2", () => ({}))).toBe(false);
  const moved = { thunderbolt0: [own("10.8.0.1", "10.8.0.1/24", "IPv4")] } as unknown as typeof INTERFACES;
  expect(isTrusted([link], "10.9.0.2", () => moved)).toBe(false);
  expect(isTrusted([link], "10.8.0.2", () => moved)).toBe(true);
});

describe("refused, with what is wrong", () => {
  test.each([
    ["eth7", /neither/],
    ["", /neither/],
    ["10.0.0.1", /how many bits/],
    ["10.0.0.0/33", /more bits/],
    ["fd00::/129", /more bits/],
    ["0.0.0.0/0", /every network/],
    ["::/0", /every network/],
    ["fe80::/64", /name the interface/],
    ["10.0.0/24", /does not begin with an address/],
    ["10.0.0.0/24/3", /neither/],
    ["10.0.0.0/-1", /neither/],
    ["fd00::%eth0/64", /does not begin/],
    ["constructor", /neither/],
  ])("%s", (text, why) => {
    expect(() => parseTrustedLink(text, INTERFACES)).toThrow(why);
    expect(() => parseTrustedLink("10.0.0.0/24", INTERFACES)).not.toThrow();
  });
});

property.prop([fc.string()])("whatever is typed is a link or a usage error", (text) => {
  try {
    parseTrustedLink(text, INTERFACES);
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
    expect((error as ClusterdError).code).toBe("usage");
  }
});

property.prop([fc.ipV4(), fc.ipV4(), fc.integer({ min: 1, max: 32 })])(
  "a range holds what shares its first bits",
  (a, b, bits) => {
    const number = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    const size = 2 ** (32 - bits);
    expect(trusts(`${a}/${bits}`, b)).toBe(Math.floor(number(a) / size) === Math.floor(number(b) / size));
  },
);

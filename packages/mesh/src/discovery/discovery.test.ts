import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { dialable, ipOf, mdnsInterfaces, nodeOf } from "./addresses.ts";
import { decodePacket, encodeAnswer, encodeQuestion } from "./mdns-packet.ts";
import { RateLimit } from "./rate-limit.ts";

describe("mDNS packets", () => {
  test("a question is one", () => {
    expect(decodePacket(encodeQuestion())).toEqual({ kind: "question" });
  });

  test.prop([fc.array(fc.stringMatching(/^[!-~]{1,200}$/), { minLength: 1, maxLength: 8 })])(
    "an answer carries its addresses",
    (addresses) => {
      expect(decodePacket(encodeAnswer("instance", addresses))).toEqual({ kind: "answer", addresses });
    },
  );

  test.prop([fc.uint8Array({ maxLength: 400 })])("noise is nothing, and harms nothing", (bytes) => {
    expect(decodePacket(bytes)).toBeNull();
  });

  test.prop([fc.nat(200), fc.nat(255), fc.nat(300)])(
    "a damaged answer is read or refused, never thrown over",
    (at, byte, cut) => {
      const packet = Uint8Array.from(encodeAnswer("instance", ["/ip4/10.0.0.1/tcp/2574", "/ip4/10.0.0.2/tcp/2574"]));
      packet[at % packet.length] = byte;
      const decoded = decodePacket(packet.subarray(0, cut));
      expect(decoded === null || decoded.kind === "answer" || decoded.kind === "question").toBe(true);
    },
  );

  test("names that point at themselves or forwards are refused", () => {
    const header = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for (const pointer of [12, 13, 14, 200])
      expect(decodePacket(Uint8Array.from([...header, 0xc0, pointer, 0, 12, 0, 1]))).toBeNull();
  });
});

describe("addresses", () => {
  test.prop([fc.string()])("only what TCP can dial is an address", (text) => {
    expect(dialable(text)).toBeNull();
  });

  test.each(["/ip4/10.0.0.1/tcp/0", "/ip4/10.0.0.1/udp/1", "/ip4/10.0.0.1/tcp/1/ws", "/unix/tmp", "/ip4/10.0.0.1"])(
    "%s is none",
    (text) => {
      expect(dialable(text)).toBeNull();
    },
  );

  test.each(["/ip4/10.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/dns4/host/tcp/1"])("%s is one", (text) => {
    const address = dialable(text);
    expect(address?.toString()).toBe(text);
    expect(address === null ? "" : ipOf(address)).toBe(text.split("/")[2]);
    expect(address === null ? "" : nodeOf(address)).toBeNull();
  });

  test("others are looked for where this node listens", () => {
    expect(mdnsInterfaces(["127.0.0.1", "::1"])).toEqual(["127.0.0.1"]);
    expect(mdnsInterfaces(["0.0.0.0"]).length).toBeGreaterThan(0);
  });
});

test("a rate limit lets through so many a second, and again in the next", () => {
  const limit = new RateLimit(2);
  expect([0, 1, 2, 999, 1000].map((nowMs) => limit.take(nowMs))).toEqual([true, true, false, false, true]);
});

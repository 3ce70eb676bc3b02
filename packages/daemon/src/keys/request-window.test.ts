import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { createRequestWindow } from "./request-window.ts";

test.prop([fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 }), fc.integer({ min: 1, max: 6 })])(
  "no minute has more requests than the limit, and who waits as told is let in",
  (gaps, max) => {
    const window = createRequestWindow();
    const taken: number[] = [];
    let now = 5;
    for (const gap of gaps) {
      now += gap;
      const seconds = window.take(max, now);
      const latest = taken.filter((time) => time > now - 60_000);
      expect(seconds === null).toBe(latest.length < max);
      if (seconds === null) taken.push(now);
      else {
        now += seconds * 1000;
        expect(seconds).toBeLessThanOrEqual(60);
        expect(window.take(max, now)).toBeNull();
        taken.push(now);
      }
    }
  },
);

import { expect, test } from "vitest";
import { upstreamBody } from "./upstream-fields.ts";
import { upstreamFor, type Upstream } from "./upstream.ts";

const FAR: Upstream = {
  name: "far",
  baseUrl: "https://far.example/v1",
  apiKey: null,
  models: new Map([
    ["Big", "big-1"],
    ["org/model:Q4", "x"],
  ]),
  fields: [],
  tokenLimit: "max_tokens",
};
const CHAT = "/v1/chat/completions";

test("schemas get the name that OpenAI wants", () => {
  const sent = (format: unknown): unknown =>
    upstreamBody(CHAT, { messages: [], response_format: format }, FAR, "big-1").body["response_format"];
  expect(sent({ type: "json_schema", json_schema: { schema: { type: "object" } } })).toEqual({
    type: "json_schema",
    json_schema: { name: "answer", schema: { type: "object" } },
  });
  expect(sent({ type: "json_object", schema: {} })).toEqual({ type: "json_schema", json_schema: { name: "answer", schema: {} } });
  expect(sent({ type: "json_object" })).toEqual({ type: "json_object" });
});

test("the engine's own fields stay here and are told of, unless the upstream takes them", () => {
  const checked = {
    model: "here",
    messages: [],
    stream: true,
    min_p: 0.1,
    chat_template_kwargs: {},
    "speculative.n_max": 0,
    return_progress: true,
  };
  expect(upstreamBody(CHAT, checked, FAR, "big-1")).toEqual({
    body: { model: "big-1", messages: [], stream: true, stream_options: { include_usage: true } },
    leftOut: ["min_p", "chat_template_kwargs"],
  });
  expect(upstreamBody(CHAT, checked, { ...FAR, fields: ["min_p"] }, "big-1").body).toMatchObject({ min_p: 0.1 });
});

test("models are named without regard to case", () => {
  expect(upstreamFor([FAR], ["big"])).toMatchObject({ model: "Big", theirModel: "big-1" });
  expect(upstreamFor([FAR], ["nothing", " ORG/MODEL:q4 "])).toMatchObject({ theirModel: "x" });
  expect(upstreamFor([FAR], ["big-1"])).toBe(null);
});

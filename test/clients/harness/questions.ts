/** What the demo model knows, and what makes it talk on. */
export const MODEL = "demo-16l-q8_0";
export const CAPITAL = { question: "What is the capital of France?", answer: "The capital of France is Paris." } as const;
export const DAY = { question: "What day comes after Monday?", answer: "Tuesday comes after Monday." } as const;
/** Some two hundred tokens. */
export const LONG_QUESTION = "Count from 1 to 60.";
/** More than the context of any of the test's models. */
export const TOO_LONG: string = "hello there friend ".repeat(1_000);
export const WEATHER_SCHEMA = {
  type: "object",
  properties: { city: { type: "string", enum: ["Paris", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
} as const;

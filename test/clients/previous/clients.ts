/** The clients of the generation before, under the names that those of today have. */
export { default as OpenAI } from "openai";
export { zodResponseFormat } from "openai/helpers/zod";
export { z } from "zod";

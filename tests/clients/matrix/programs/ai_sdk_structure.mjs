import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output } from "ai";
import { z } from "zod";

const { REDRAFT_BASE: baseURL, REDRAFT_KEY: apiKey, REDRAFT_MODEL } = process.env;
const redraft = createOpenAICompatible({
  name: "redraft",
  baseURL,
  apiKey,
  supportsStructuredOutputs: true,
});
const person = z.object({
  name: z.string().max(24),
  age: z.number().int().min(0).max(120),
  hobbies: z.array(z.string().max(16)).max(2),
});
const prompt = "Invent a person: a name, an age and two hobbies.";

for (const [feature, name] of [
  ["refined", REDRAFT_MODEL],
  ["direct", `${REDRAFT_MODEL}:direct`],
]) {
  let detail = "";
  try {
    const output = Output.object({ schema: person });
    person.parse((await generateText({ model: redraft(name), prompt, maxRetries: 0, output })).output);
  } catch (error) {
    detail = `${error?.name}: ${String(error?.message).slice(0, 200)}`;
  }
  console.log(JSON.stringify({ feature, works: detail === "", detail }));
}

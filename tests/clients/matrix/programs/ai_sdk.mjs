import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { REDRAFT_BASE, REDRAFT_FULL, REDRAFT_KEY, REDRAFT_MODEL } = process.env;
const QUESTION = "What is the weather in Paris?";
const ANSWER = "refinement";

const model = (apiKey = REDRAFT_KEY, baseURL = REDRAFT_BASE) =>
  createOpenAICompatible({
    name: "redraft",
    baseURL,
    apiKey,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })(REDRAFT_MODEL);

const options = { maxRetries: 0, prompt: QUESTION };
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is sunny in ${city}.`,
});
const withTools = { ...options, tools: { weather }, stopWhen: (stepCountIs ?? isStepCount)(3) };

function report(feature, works, detail = "") {
  console.log(JSON.stringify({ feature, works, detail }));
}

const said = (error) => `${error?.name}: ${String(error?.message).slice(0, 200)}`;

async function works(feature, call, isRight) {
  try {
    const result = await call();
    const right = isRight(result);
    report(feature, right, right ? "" : `got ${JSON.stringify(result)?.slice(0, 200)}`);
  } catch (error) {
    report(feature, false, said(error));
  }
}

async function raises(feature, name, status, call) {
  try {
    report(feature, false, `no error: ${JSON.stringify(await call())?.slice(0, 200)}`);
  } catch (error) {
    const right = error?.name === name && error.statusCode === status;
    report(feature, right, right ? name : said(error));
  }
}

async function streamed(more) {
  let failure;
  const result = streamText({ model: model(), ...more, onError: ({ error }) => (failure = error) });
  let text = "";
  for await (const piece of result.textStream) text += piece;
  if (failure) throw failure;
  return { text, usage: await result.totalUsage };
}

const text = async (more) => (await generateText({ model: model(), ...options, ...more })).text;
const hasAnswer = (answer) => answer.includes(ANSWER);
const place = z.object({ city: z.string(), country: z.string() });

await works("chat", () => text({}), hasAnswer);
await works("stream", async () => (await streamed(options)).text, hasAnswer);
await works("usage", async () => (await streamed(options)).usage.totalTokens, (n) => n > 0);
await works("tools", () => text(withTools), hasAnswer);
await works("tools, streamed", async () => (await streamed(withTools)).text, hasAnswer);
await works(
  "structured output",
  async () => {
    const asked = { model: model(), ...options, output: Output.object({ schema: place }) };
    return (await generateText(asked)).output;
  },
  (found) => found.city === "Paris" && found.country === "France",
);
await raises("context overflow", "AI_APICallError", 400, () =>
  text({ prompt: "word ".repeat(6000) }),
);
await raises("wrong key", "AI_APICallError", 401, () => text({ model: model("wrong") }));
await raises("rate limit", "AI_APICallError", 429, () =>
  text({ model: model(REDRAFT_KEY, REDRAFT_FULL) }),
);

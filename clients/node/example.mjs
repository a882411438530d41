// The stock OpenAI SDK for Node against a Redraft server; only baseURL is different. Run:
//
//     npm install && node example.mjs http://127.0.0.1:8000

import OpenAI from "openai";

const url = process.argv[2] ?? "http://127.0.0.1:8000";
const client = new OpenAI({
  baseURL: `${url}/v1`,
  apiKey: process.env.OPENAI_API_KEY ?? "none",
  maxRetries: 0, // a loop may outlast the timeout, and each retry runs it again
});
const messages = [
  { role: "user", content: "Name 4 animals in alphabetical order, none starting with c." },
];
const model = (await client.models.list()).data[0].id;

// One answer; how often to refine travels in a field of our own.
const completion = await client.chat.completions.create({
  model,
  messages,
  refine: { max_iterations: 1, keep: "best" },
});
console.log(`answer: ${completion.choices[0].message.content}`);
console.log(`stop reason: ${completion.refine.stop_reason}`);

// Draft and feedback stream as reasoning, then the answer as content.
let section = "";
const stream = await client.chat.completions.create({
  model,
  messages,
  reasoning_effort: "low",
  stream: true,
});
for await (const chunk of stream) {
  const { reasoning, content } = chunk.choices[0].delta;
  for (const [name, text] of Object.entries({ reasoning, content })) {
    if (!text) continue;
    if (name !== section) process.stdout.write(`\n[${name}]\n`);
    section = name;
    process.stdout.write(text);
  }
}
console.log();

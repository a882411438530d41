// Reads /v1/refine: the typed events of one loop as they come.

/** An error as the server says it: {message, type, param, code}. */
export class RefineError extends Error {
  constructor(detail, status) {
    super(detail.message);
    this.code = detail.code;
    this.status = status;
  }
}

/** Yields each event as an object; throws RefineError when the server says it failed. */
export async function* refine(request, key, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const reply = await fetch("v1/refine", {
    method: "POST", headers, signal, body: JSON.stringify({ ...request, stream: true }),
  });
  if (!reply.ok) throw new RefineError(await detailOf(reply), reply.status);
  for await (const event of events(reply.body)) {
    if (event.type === "error") throw new RefineError(event.error, reply.status);
    yield event;
    if (event.type === "refine.completed") return;
  }
  throw new RefineError({ message: "The connection broke before the answer was complete." });
}

async function detailOf(reply) {
  try {
    return (await reply.json()).error;
  } catch { // a proxy in between may answer in its own words
    return { message: `The server answered ${reply.status} ${reply.statusText}.` };
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (pending + value).split("\n\n");
    pending = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: "));
      // A block without data is a comment that keeps the line alive.
      if (data.length) yield JSON.parse(data.map((line) => line.slice(6)).join("\n"));
    }
  }
}

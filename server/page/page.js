// The page: asks /v1/refine and shows the draft, the feedback and the refinement as they come.

import { Manuscript, element } from "./manuscript.js";
import { RefineError, refine } from "./stream.js";

const REASONS = {
  good_enough: "the score was good enough",
  checks_passed: "it passed all checks",
  max_iterations: "all iterations were done",
  no_change: "the refinement changed nothing",
  no_gain: "the score did not rise any further",
  token_budget: "the token budget was spent",
  deadline: "the deadline passed",
  malformed_feedback: "the feedback could not be read",
  engine_failure: "the engine failed; this is the best so far",
  draining: "the server is shutting down; this is the best so far",
};
const MOST_CHOICES = 5;

const [form, instruction, go, stop, status, problem, outcome, figures, key] = [
  "ask", "instruction", "go", "stop", "status", "problem", "outcome", "figures", "key",
].map((id) => document.getElementById(id));
const manuscript = new Manuscript(document.getElementById("manuscript"));
let asking = null; // the AbortController of the loop that runs

async function ask() {
  const request = { prompt: instruction.value, max_iterations: iterations() };
  const started = performance.now();
  const times = {};
  asking = new AbortController();
  begin(request.max_iterations);
  try {
    for await (const event of refine(request, key.value, asking.signal)) {
      times.first ??= performance.now() - started;
      say(event);
      manuscript.tell(event);
      if (event.type === "refine.completed") {
        show(event.refine, { ...times, all: performance.now() - started });
      }
    }
  } catch (error) {
    if (error.name === "AbortError") status.textContent = "Stopped.";
    else fail(error);
  } finally {
    asking = null;
    manuscript.end();
    busy(false);
  }
}

function begin(max) {
  problem.hidden = outcome.hidden = true;
  status.textContent = "Waiting for the first word…";
  manuscript.begin(max);
  busy(true);
}

function busy(is) {
  go.disabled = is;
  stop.disabled = !is;
  document.body.classList.toggle("busy", is);
}

function say(event) {
  const saying = {
    "refine.draft.delta": "Writing the draft…",
    "refine.feedback.delta": `Writing feedback ${event.iteration}…`,
    "refine.feedback.rejected": "That feedback could not be read; asking again…",
    "refine.refinement.delta": `Writing refinement ${event.iteration}…`,
  }[event.type];
  // Told once for each phase: a screen reader reads every change aloud.
  if (saying && saying !== status.textContent) status.textContent = saying;
}

function show(result, times) {
  const scores = result.scores.map((score) => score ?? "not scored").join(" → ");
  const usage = result.usage;
  const cached = usage.prompt_tokens_details.cached_tokens;
  status.textContent = result.kept === 0 && result.iterations > 0
    ? "Done. The draft was kept." : "Done.";
  figures.replaceChildren(
    ...figure("Why it ended", REASONS[result.stop_reason] ?? result.stop_reason, result.stop_reason),
    ...figure(result.scores.length > 1 ? "Scores" : "Score", scores),
    ...figure("Tokens written", usage.completion_tokens),
    ...figure("Tokens read", `${usage.prompt_tokens} (${cached} from cache)`),
    ...figure("First word", seconds(times.first)),
    ...figure("Answer", seconds(times.all)),
  );
  outcome.hidden = false;
}

function figure(name, value, code) {
  const shown = element("dd", "", String(value));
  if (code) shown.dataset.code = code;
  return [element("dt", "", name), shown];
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

function fail(error) {
  status.textContent = "";
  const known = error instanceof RefineError;
  problem.textContent = known ? error.message : `The server cannot be reached (${error.message}).`;
  problem.hidden = false;
  if (error.status === 401) {
    document.getElementById("key-field").hidden = false;
    key.focus();
  }
}

// -- choosing ---------------------------------------------------------------------------------

function iterations() {
  return Number(new FormData(form).get("iterations"));
}

/** Choices 0 to `most`. The reader may have chosen already, or be about to: nothing is undone. */
function offer(most, usual) {
  const shown = document.getElementById("iterations");
  const choices = Math.min(most + 1, MOST_CHOICES);
  while (shown.childElementCount > choices) shown.lastElementChild.remove();
  while (shown.childElementCount < choices) shown.append(choice(shown.childElementCount));
  const inputs = shown.querySelectorAll("input");
  const kept = shown.dataset.chosen && shown.querySelector(":checked");
  if (!kept) inputs[Math.min(usual, choices - 1)].checked = true;
}

function choice(number) {
  const input = element("input");
  Object.assign(input, { type: "radio", name: "iterations", value: number });
  return element("label", "", input, element("span", "", String(number)));
}

/** What the server says about itself: the model, its usual number of iterations, examples. */
async function introduce() {
  offer(MOST_CHOICES - 1, 1);
  const told = fetch("version").then((reply) => (reply.ok ? reply.json() : null));
  const served = await told.catch(() => null); // a server that is going tells no more
  if (!served) return;
  offer(served.max_iterations_cap, served.policy.max_iterations);
  document.getElementById("model").textContent = served.model;
  const about = document.getElementById("about");
  about.textContent = served.about ?? "";
  about.hidden = !served.about;
  const examples = document.getElementById("examples");
  examples.replaceChildren(...(served.examples ?? []).map(example));
  examples.hidden = !served.examples?.length;
}

function example(text) {
  const button = element("button", "example", text);
  button.type = "button";
  button.addEventListener("click", () => {
    instruction.value = text;
    instruction.focus();
  });
  return button;
}

// -- events -----------------------------------------------------------------------------------

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!asking) ask();
});
stop.addEventListener("click", () => asking?.abort());
document.getElementById("iterations").addEventListener("change", (event) => {
  event.currentTarget.dataset.chosen = "yes";
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") asking?.abort();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
if (/Mac|iPhone|iPad/.test(navigator.userAgent)) {
  document.getElementById("shortcut").textContent = "⌘ ↵";
}
manuscript.invite();
introduce();

// Draws one loop as a manuscript: each response on the page, the feedback on it in the margin.

import { changes } from "./changes.js";

/** An element with a class and children; text is only ever inserted as text. */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export class Manuscript {
  constructor(list) {
    this.list = list;
    this.rows = [];
  }

  /** Before anything was asked: what each part will be. */
  invite() {
    this.begin(1);
    this.row(0).body.append("The model answers, as any model would.");
    this.row(0).margin.body.append(
      "Then it reads its own answer: what is weak, what to do about it, a score from 1 to 10.");
    this.row(1).body.append("And it answers again, with the feedback in front of it.");
  }

  /** Empty again, with a row for the draft and, when it will be refined, one for its refinement. */
  begin(iterations) {
    this.list.replaceChildren();
    this.rows = [];
    this.row(0);
    if (iterations > 0) {
      this.row(0).margin.show();
      this.row(1);
    }
  }

  /** The row of a response: 0 is the draft, n the refinement of iteration n. */
  row(number) {
    while (this.rows.length <= number) {
      const row = new Row(this.rows.length);
      this.rows.push(row);
      this.list.append(row.element);
    }
    return this.rows[number];
  }

  /** What one event of the loop says. */
  tell(event) {
    const { iteration } = event;
    switch (event.type) {
      case "refine.draft.delta": return this.row(0).write(event.delta);
      case "refine.draft.done": return this.draft(event.draft);
      case "refine.feedback.delta": return this.row(iteration - 1).margin.write(event.delta);
      case "refine.feedback.rejected": return this.row(iteration - 1).margin.reject(event.problem);
      case "refine.feedback.done": return this.row(iteration - 1).margin.finish(event.feedback);
      case "refine.refinement.delta": return this.row(iteration).write(event.delta);
      case "refine.refinement.done":
        return this.row(iteration).finish(event.refinement.text, this.row(iteration - 1).text);
      case "refine.completed": return this.complete(event.refine);
      default: return undefined; // an event of a newer server
    }
  }

  /** Nothing more comes: what was not begun goes, what was begun stays as far as it came. */
  end() {
    for (const row of this.rows) row.end();
  }

  draft(draft) {
    this.row(0).finish(draft.text);
    if (draft.feedback) this.row(0).margin.finish(draft.feedback);
  }

  complete(result) {
    this.row(result.kept).finish(result.answer, this.rows[result.kept - 1]?.text);
    this.end();
    this.row(result.kept).keep();
  }
}

class Row {
  constructor(number) {
    this.name = number === 0 ? "Draft" : `Refinement ${number}`;
    this.text = "";
    this.body = element("div", "text");
    this.tag = element("span", "tag");
    this.heading = element("h2", "", this.name, this.tag);
    this.margin = new Margin(number);
    const page = element("section", "page waiting", this.heading, this.body);
    page.setAttribute("aria-label", this.name);
    this.page = page;
    this.element = element("li", "row", page, this.margin.element);
  }

  write(delta) {
    this.page.className = "page writing";
    this.text += delta;
    this.body.append(delta);
  }

  finish(text, before) {
    this.page.className = "page";
    this.text = text;
    this.body.replaceChildren(...(before === undefined ? [text] : marked(before, text)));
  }

  keep() {
    this.page.classList.add("kept");
    this.tag.textContent = "Answer";
  }

  end() {
    if (!this.text) this.page.remove();
    this.page.classList.remove("writing");
    this.margin.end();
    if (!this.element.childElementCount) this.element.remove();
  }
}

class Margin {
  constructor(number) {
    this.text = "";
    this.body = element("div", "text");
    this.score = element("span", "score");
    this.element = element("section", "margin waiting", element("h2", "", "Feedback", this.score));
    this.element.append(this.body);
    this.element.setAttribute("aria-label", `Feedback on ${number ? `refinement ${number}` : "the draft"}`);
    this.element.hidden = true;
  }

  show() {
    this.element.hidden = false;
  }

  write(delta) {
    this.show();
    this.element.className = "margin writing";
    this.text += delta;
    this.body.append(delta);
  }

  /** Malformed: asked for once more, on a clean margin. */
  reject(problem) {
    this.text = "";
    this.body.replaceChildren(element("p", "rejected", `Asked again: ${problem}`));
  }

  finish(feedback) {
    this.show();
    this.element.className = "margin";
    this.text = feedback.text;
    const parts = [["Weaknesses", feedback.weaknesses], ["Suggestions", feedback.suggestions]];
    const given = parts.filter(([, text]) => text);
    this.body.replaceChildren(...(given.length ? given.map(part) : [feedback.text]));
    if (feedback.score === null) return;
    this.score.textContent = `${feedback.score}/10`;
    this.score.title = "the model's own score";
  }

  end() {
    if (!this.text && !this.body.childElementCount) this.element.remove();
    this.element.classList.remove("writing");
  }
}

function part([name, text]) {
  return element("p", "", element("strong", "", name), element("span", "", text));
}

/** The text, with what is new in it marked. */
function marked(before, text) {
  return changes(before, text).map(([kind, words]) => (kind === "same" ? words : element("ins", "", words)));
}

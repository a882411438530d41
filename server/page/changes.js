// Finds what is new in a text: the words of it that are not in the longest common subsequence.

const LONGEST = 1500; // words of both texts together; comparing takes the product of the two

/** [["same" | "new", words], …], which joined are the text. */
export function changes(before, text) {
  const old = words(before), current = words(text);
  if (old.length + current.length > LONGEST) return [["same", text]];
  const common = lengths(old, current);
  const runs = [];
  let i = 0, j = 0;
  while (j < current.length) {
    if (i < old.length && old[i] === current[j]) {
      add(runs, "same", current[j]);
      i++; j++;
    } else if (i < old.length && common[i + 1][j] >= common[i][j + 1]) {
      i++;
    } else {
      add(runs, "new", current[j]);
      j++;
    }
  }
  return joined(runs);
}

function words(text) {
  return text.match(/\s+|[^\s]+/g) ?? [];
}

/** common[i][j]: how many words the rest of the old text from i and of the new from j share. */
function lengths(old, current) {
  const common = Array.from({ length: old.length + 1 }, () => new Uint16Array(current.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = current.length - 1; j >= 0; j--) {
      common[i][j] = old[i] === current[j]
        ? common[i + 1][j + 1] + 1
        : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  return common;
}

/** The space between two new words is new, too. */
function joined(runs) {
  const whole = [];
  runs.forEach(([kind, words], at) => {
    const between = runs[at - 1]?.[0] === "new" && runs[at + 1]?.[0] === "new";
    add(whole, between && !words.trim() ? "new" : kind, words);
  });
  return whole;
}

function add(runs, kind, word) {
  const last = runs.at(-1);
  if (last?.[0] === kind) last[1] += word;
  else runs.push([kind, word]);
}

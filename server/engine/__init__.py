"""Where text comes from: one protocol (base) and one file per source of completions."""

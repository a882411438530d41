"""The workbench's model before any training: its tokenizer, and the weights it starts with."""

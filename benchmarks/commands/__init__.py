"""What all commands share: the tables they are named in, and groups of options."""

"""What stages read and write: records, the ledger, traces, datasets."""

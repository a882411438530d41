"""What measurements leave behind: results, tables, plots."""

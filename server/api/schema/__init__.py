"""What travels over the wire, each shape once."""

"""Right or wrong, way by way of answering."""

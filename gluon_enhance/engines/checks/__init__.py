"""What a graph must be before an engine gets it; all else is refused."""

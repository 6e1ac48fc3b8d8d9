"""Source tables and the feature query."""

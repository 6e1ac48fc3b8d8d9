"""What the user declares: scoring specs and settings."""

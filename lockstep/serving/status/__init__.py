"""The endpoint as a person looks at it: one page, and the same as JSON."""

"""Traces that go through the endpoint: who asked within which, and spans for whoever collects them."""

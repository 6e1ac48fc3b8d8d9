"""The OpenAPI 3.1 description of a running endpoint, made from its routes and the signatures of its models."""

"""The model registry: alias to version to digest, the node cache and loading."""

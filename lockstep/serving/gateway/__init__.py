"""From a serving.yaml and the addresses of its replicas to the configuration of a gateway in front of them."""

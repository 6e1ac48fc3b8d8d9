"""The edge of the Open Inference Protocol V2 over gRPC."""

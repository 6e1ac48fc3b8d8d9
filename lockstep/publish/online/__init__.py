"""Online stores: the newest published predictions by key, for the endpoint to look up in microseconds."""

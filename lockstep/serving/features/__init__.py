"""What the endpoint looks up online: predictions that were published before, and features of a request."""

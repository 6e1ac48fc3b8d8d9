"""Who may ask the endpoint, how much, and over what: the same for every protocol."""

"""Several processes of one endpoint behind one port."""

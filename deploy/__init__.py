"""What containers need beside the services: keys, and the configuration of the other parts."""

"""What authors of components meet: scripts by the hundred."""

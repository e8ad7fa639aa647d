"""A page of the node's run log, and an alarm when films change."""

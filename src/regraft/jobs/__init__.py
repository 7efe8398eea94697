"""The work itself: the only place where store, data, hub and engine meet."""

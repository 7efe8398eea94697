"""Nets and batches; knows nothing of stores or pictures."""

"""What happens to train pictures before a net sees them: whole batches at once, by chance as a function."""

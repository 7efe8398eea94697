"""Where pretrained models come from, and what is known of each before its weights are read."""

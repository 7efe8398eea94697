"""Where pictures come from: each kind of source, read into one kind of listing."""

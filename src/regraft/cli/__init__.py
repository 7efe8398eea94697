"""The command line: a command parses, calls the workspace, and prints."""

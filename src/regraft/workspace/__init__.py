"""The SDK: everything that a person can do, with a file for each noun."""

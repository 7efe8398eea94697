"""Versions and bytes on disk."""

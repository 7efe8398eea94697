"""The configs of MMClassification and MMPretrain: read and never executed, and run as recipes."""

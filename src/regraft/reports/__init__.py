"""Reports: records in, pages and terminal lines out."""

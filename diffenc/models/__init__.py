"""The papers' mathematics, one idea a file; nothing here needs the rest of the package."""

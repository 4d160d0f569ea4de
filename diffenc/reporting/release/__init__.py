"""A study as a folder to be uploaded by hand."""

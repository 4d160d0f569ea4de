"""What each command does: options in, files out."""

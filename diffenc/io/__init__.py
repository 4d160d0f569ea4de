"""Files, arrays, tensors, settings, and the one error of the user's."""

"""The one exception that a user's mistake becomes: the command line prints it as a single line."""


class UserError(Exception):
    """A mistake of the user's; the message names the file, the key and the remedy, in one line."""

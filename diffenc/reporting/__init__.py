"""Tables, figures, the page, and which of them a study has."""

"""Records and arrays of runs, and a study's csv files: read and checked, without torch."""

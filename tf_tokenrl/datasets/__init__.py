"""Where texts come from, how they are cleaned and how they are split.

`readers.read` gives the rows of any source; `docstrings` is the data set that
every installation has without a download.
"""

"""Define documents: data of projects that grows with use, such as datasets and comments.

Control records are kept by every process in memory. Documents are rows of a table; a process keeps
only those in memory that the store may not have yet.
"""

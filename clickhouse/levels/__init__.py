"""Hourly and daily rollups of windows: tables, how they are filled, and which rows are current.

The rows of an hour are recomputed as a whole from its windows, and those of a day from its hours.
They are absolute values with a version, like all rows, so a repetition changes nothing. An hour or
day is current if its rows include the last insert into its windows. Every other hour is stale, and
readers use its windows instead.
"""

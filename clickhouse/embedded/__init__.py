"""Serve the ClickHouse engine (chDB) through ClickHouse's HTTP interface, on one machine."""

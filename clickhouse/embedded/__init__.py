"""The ClickHouse engine (chDB) behind ClickHouse's HTTP interface, for one machine."""

"""The pages of the console. Each module lists what it adds in ``REGISTERED``."""

"""`python -m deploy ROLE`: the command line, for processes that start each other."""

from deploy.cli import main

main()

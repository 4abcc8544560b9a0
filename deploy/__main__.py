"""Run the command line as `python -m deploy ROLE`; the supervisor starts roles this way."""

from deploy.cli import main

main()

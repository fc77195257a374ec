"""`python -m proxy.cli` is the command `panless`."""

from proxy.cli.main import main

main()

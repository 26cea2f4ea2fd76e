"""One file per command of ``reviewhub``: ``handle(arguments) -> exit code``. The grammar is in reviewhub/cli.py."""

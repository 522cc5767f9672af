"""The command line: one module a command."""


def main() -> int:
    return 0

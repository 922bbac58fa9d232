#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from environs import EnvValidationError

    try:
        execute_from_command_line(sys.argv)
    except EnvValidationError as error:
        sys.exit(f"A setting is wrong: {error}")


if __name__ == "__main__":
    main()

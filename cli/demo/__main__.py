"""``python -m cli.demo``: the whole loop on real flights; exit code 0 only when every step succeeded."""

from __future__ import annotations

import argparse
import shutil
import sys

from cli.demo import summary
from cli.demo.flights import CACHE, Month
from cli.demo.story import HISTORY, Story
from cli.shared import local
from cli.shared.console import Output, report_failure
from cli.shared.failures import EXPECTED, explain

DEFAULT_MONTHS = "5,6,7,8"
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description="run the whole loop on real flights of 2013")
    parser.add_argument(
        "--months", type=parse_months, default=DEFAULT_MONTHS, help=f"months to serve at most (default: {DEFAULT_MONTHS})"
    )
    parser.add_argument("--fresh", action="store_true", help="delete the embedded cloud's data, then start from the beginning")
    options = parser.parse_args(arguments)
    out = Output(as_json=False)
    try:
        if options.fresh:
            delete_all()
        platform, predictions, outcome = Story(out, options.months).run()
        summary.show(out, platform, predictions, outcome)
    except EXPECTED as error:
        report_failure(explain(error), as_json=False)
        return 1
    except KeyboardInterrupt:
        out.say("\nInterrupted. `make demo` continues from here.")
        return EXIT_INTERRUPTED
    return 0


def parse_months(text: str) -> tuple[Month, ...]:
    """Months such as ``5,6,7``, which follow the training data of the first model.

    Raises
    ------
    argparse.ArgumentTypeError
        When the text is not an ascending list of such months.
    """
    first = HISTORY[-1].number + 1
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or numbers != list(range(first, first + len(numbers))) or numbers[-1] > 12:
        raise argparse.ArgumentTypeError(f"write consecutive months from {first} to 12, for example {DEFAULT_MONTHS}")
    return tuple(Month(number) for number in numbers)


def delete_all() -> None:
    """Delete the embedded cloud and the demo's files; a cloud at ``AWS_ENDPOINT_URL`` is not touched."""
    local.delete()
    shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

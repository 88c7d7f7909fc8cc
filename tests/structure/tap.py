# SPDX-License-Identifier: LGPL-2.1-or-later
"""The little TAP that the tests of this folder print."""


class Tap:
    def __init__(self):
        self.made = 0
        self.failed = 0

    def check(self, name, problems):
        """One check: passes where the list of problems is empty, else prints them."""
        self.made += 1
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {self.made} - {name}")
        for problem in problems:
            print(f"# {problem}")

    def done(self):
        """Prints the plan; the program's exit status."""
        print(f"1..{self.made}")
        return 1 if self.failed or not self.made else 0

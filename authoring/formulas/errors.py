"""What can be wrong with a formula: an error shows it, with a caret below the place."""


class FormulaError(ValueError):
    """A formula that cannot be read or evaluated."""

    def __init__(self, message: str, source: str = "", at: int = -1):
        """Describe what is wrong, and where.

        Args:
            message: what is wrong.
            source: the formula's LaTeX, if it is known.
            at: the place in it, or -1.
        """
        self.message, self.source, self.at = message, source, at
        super().__init__(f"{message}\n{pointed(source, at)}" if source else message)


class ParseError(FormulaError):
    """A formula whose notation is unknown or ambiguous."""


class EvaluationError(FormulaError):
    """A formula that has no value for what the test supplies."""


def pointed(source: str, at: int) -> str:
    """Return the line of a formula that holds a place, with a caret below it."""
    if not 0 <= at <= len(source):
        return "    " + " ".join(source.split())
    start = source.rfind("\n", 0, at) + 1
    end = source.find("\n", at)
    line = source[start : end if end >= 0 else len(source)]
    return f"    {line}\n    {' ' * (at - start)}^"

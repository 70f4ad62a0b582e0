"""From a plan back to an exported program."""

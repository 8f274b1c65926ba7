"""What the exporter says where it cannot go on."""


class Refusal(Exception):
    """An input is missing, wrong or unknown. The message is one line: the file or feature, the fault, what to do. Exit code 2."""


class TooFar(Exception):
    """The exported graphs do not give PyTorch's numbers. Exit code 1."""


def listed(names):
    """The names for a message."""
    names = [str(name) for name in names]
    return ", ".join(names) if names else "none"

"""What a run says when it cannot start or go on."""


class RunError(Exception):
    """The message is for the person at the keyboard: what is wrong, where, and what to do about it."""


class CheckpointError(RunError):
    """A checkpoint that is missing, damaged, or of another model."""


class NotFiniteRunError(RunError):
    """A term of the loss, or a parameter, became NaN or infinite: the message names the place and the step."""

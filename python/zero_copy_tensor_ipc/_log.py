"""The package's log. Imported at the first message: a program that has none does not pay for it."""

import logging
import os

_logger = logging.getLogger("zero_copy_tensor_ipc")
_logger.addHandler(logging.NullHandler())


def _to_stderr(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s pid %(process)d: %(message)s"))
    _logger.addHandler(handler)
    _logger.setLevel(getattr(logging, level.upper(), logging.INFO))


if os.environ.get("ZCT_LOG"):
    _to_stderr(os.environ["ZCT_LOG"])


def emit(level: int, message: str) -> None:
    """Hand one message of the core on; called by the extension."""
    _logger.log(level, "%s", message)

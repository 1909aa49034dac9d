"""A disk on which no file can grow past a few bytes."""

import contextlib

resource = None
with contextlib.suppress(ImportError):  # there is none on Windows
    import resource


@contextlib.contextmanager
def full(size: int = 512):
    """The system itself refuses to write more than `size` bytes to a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

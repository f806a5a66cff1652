"""File systems: ext4-like inodes, page cache, buffers and delayed allocation (B10, B11, B12); tmpfs."""

from gupsim.actors.fs.ext4 import Ext4
from gupsim.actors.fs.inodes import FileSpec
from gupsim.actors.fs.shmem import Shmem, ShmemSpec

__all__ = ["Ext4", "FileSpec", "Shmem", "ShmemSpec"]

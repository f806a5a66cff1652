"""The file system: ext4-like inodes, page cache, buffers and delayed allocation (B10, B11, B12)."""

from actors.fs.ext4 import Ext4
from actors.fs.inodes import FileSpec

__all__ = ["Ext4", "FileSpec"]

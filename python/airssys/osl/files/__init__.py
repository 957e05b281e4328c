"""Files and directories."""

from airssys.osl.files.operations import (
    CopyFile,
    DeleteFile,
    ListDirectory,
    MakeDirectory,
    MoveFile,
    ReadFile,
    RemoveDirectory,
    StatFile,
    WalkDirectory,
    WatchPath,
    WriteFile,
)
from airssys.osl.files.records import Entry, FileStat
from airssys.osl.files.walk import Walk
from airssys.osl.files.watch import Change, Watch

__all__ = [
    "Change",
    "CopyFile",
    "DeleteFile",
    "Entry",
    "FileStat",
    "ListDirectory",
    "MakeDirectory",
    "MoveFile",
    "ReadFile",
    "RemoveDirectory",
    "StatFile",
    "Walk",
    "WalkDirectory",
    "Watch",
    "WatchPath",
    "WriteFile",
]

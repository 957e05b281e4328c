"""Named external programs."""

from airssys.osl.utilities.git import GitCommit, GitStatus, git_log, git_status
from airssys.osl.utilities.utility import RunUtility, Utility

__all__ = ["GitCommit", "GitStatus", "RunUtility", "Utility", "git_log", "git_status"]

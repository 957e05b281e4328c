"""An actor runtime with stated semantics: bounded mailboxes, supervision, virtual time in tests."""

from __future__ import annotations

from airssys.rt._mailbox import Bounded
from airssys.rt._options import Backoff, Options, Restart
from airssys.rt.actor import Actor, actor, handles
from airssys.rt.messages import Ask, Tell, Priority, Reason
from airssys.rt.ref import Ref
from airssys.rt.errors import MailboxFull
from airssys.rt.supervision import Child, Supervisor, ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE
from airssys.rt.system import System

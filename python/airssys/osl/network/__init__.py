"""The network."""

from airssys.osl.network.connection import Connection, Datagrams, Listener
from airssys.osl.network.operations import Connect, ConnectUnix, Listen, ListenUnix, OpenSocket

__all__ = [
    "Connect",
    "ConnectUnix",
    "Connection",
    "Datagrams",
    "Listen",
    "ListenUnix",
    "Listener",
    "OpenSocket",
]

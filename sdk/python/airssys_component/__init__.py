"""Write components for AirsSys in Python: actors, messages, logging, topics, storage.

It imports no host code. What it imports beside the standard library is what `airssys build` makes
of the component's world, and only when it runs inside of a component.
"""

from airssys_component.actors import actor, handles, on_topic
from airssys_component.errors import ComponentError, Delivery, Refused, Unavailable
from airssys_component.messages import NotUnderstood, from_json, to_json
from airssys_component.talking import ask, publish, subscribe, tell, unsubscribe

__all__ = [
    "ComponentError",
    "Delivery",
    "NotUnderstood",
    "Refused",
    "Unavailable",
    "actor",
    "ask",
    "from_json",
    "handles",
    "on_topic",
    "publish",
    "subscribe",
    "tell",
    "to_json",
    "unsubscribe",
]

"""A wolf: it runs after the nearest sheep, bites what it has reached, and howls at full moon."""

import math

from wit_world import exports
from wit_world.exports.entity import Action_Act, Action_Move, Action_Say, Thing, Vector

SPEED = 3.0  # metres per second
REACH = 1.0
MOON = 1000  # ticks


class Entity(exports.Entity):
    """What it wants."""

    def think(self, me: Thing, near: list[Thing], tick: int) -> list:
        """Return what it wants now."""
        wanted: list = [Action_Say("howl")] if tick % MOON == 0 else []
        sheep = [each for each in near if each.kind == "sheep"]
        if not sheep:
            return wanted
        here = me.position
        away = [math.hypot(each.position.x - here.x, each.position.y - here.y) for each in sheep]
        nearest = min(range(len(sheep)), key=lambda number: (away[number], sheep[number].id))
        if away[nearest] <= REACH:
            return [*wanted, Action_Act(sheep[nearest].id)]
        there, factor = sheep[nearest].position, SPEED / away[nearest]
        speed = Vector((there.x - here.x) * factor, (there.y - here.y) * factor)
        return [*wanted, Action_Move(speed)]

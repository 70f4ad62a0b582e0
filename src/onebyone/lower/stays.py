"""Say, before a plan is made, which nodes a dialect can write in their native forms alone."""

from __future__ import annotations

from collections.abc import Callable

from onebyone.axes.graph import AxisGraph, Node, sharing_natives

# Whether a node can be written anew; ``alone`` where no other node shares its native node.
CanWrite = Callable[[Node, bool], bool]


def mark_stays(graph: AxisGraph, can_write: CanWrite) -> None:
    """Sets ``stays`` of every node, in place, that the dialect cannot write in other forms.

    Nodes that share native nodes stay together: one that is written anew would leave no native
    node for the others to stay in.
    """
    for group in sharing_natives(graph).values():
        alone = len(group) == 1
        if any(node.stays or not can_write(node, alone) for node in group):
            for node in group:
                node.stays = True

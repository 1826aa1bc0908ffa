"""The least value of a setting that reaches a recall, found by asking."""


def bracket(asked, goal):
    """Of values asked before, {value: recall}: the largest that misses the goal below the least that reaches
    it, and that one. None for what there is not."""
    reached = min((value for value, recall in asked.items() if recall >= goal), default=None)
    missed = max((value for value, recall in asked.items()
                  if recall < goal and (reached is None or value < reached)), default=None)
    return missed, reached


def least_value(asked, goal, ask):
    """The least integer whose recall reaches the goal, by halving between values asked before; `ask(value)` tells
    a recall, and what it tells is kept in `asked`. None: the largest value asked misses the goal. Where
    even the least value asked reaches it, that one."""
    missed, reached = bracket(asked, goal)
    if reached is None or missed is None:
        return reached
    while reached - missed > max(1, missed // 32):
        middle = (missed + reached) // 2
        asked[middle] = ask(middle)
        if asked[middle] >= goal:
            reached = middle
        else:
            missed = middle
    return reached

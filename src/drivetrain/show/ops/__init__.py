"""One operation's output element as a calculation, one file for each family of operations.

`table.explain` finds the function of an operation. Each is given a `look.Look` and answers a
`look.Worked`: formula, numbers, steps. What no family knows is said to be not shown, by name.
"""

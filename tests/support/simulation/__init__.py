"""The real Action Center, router and kit in virtual time, over a network and disks that fail, with an oracle beside.

`python -m simulation 7` (with `tests/support` on the path) replays seed 7 and prints what happened.
"""

"""What chains are like: functions from chains to figures, and a report of them all.

`estimates` has the intervals, `backbones` the lengths and angles; then come `geometry`,
`ramachandran`, `secondary` and `shape` for chains by themselves, `divergences`, `kabsch` and
`fragments` for chains against a reference, `tm` and `diversity` for pairs, `selfconsistency` for
ProteinMPNN, and `report` for all of it.
"""

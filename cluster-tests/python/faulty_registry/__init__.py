"""A stand-in for a registry, which is correct but for one fault that can be chosen: the conformance suite must see it.

It is small, keeps everything in memory and knows no clock; `faults.py` lists what can be wrong with it.
"""

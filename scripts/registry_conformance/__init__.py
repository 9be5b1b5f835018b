"""A conformance suite for the MCP registry API, by the standard library alone.

A rule is a function under `rules/`; `rule.py` says how one is written, `registry.py` what it may ask, `expect.py` how
it judges. `cli.py` runs them and `report.py` shows what came out.
"""

"""Runs the stand-in by itself: `python3 -m faulty_registry --fault cursor-drops-search`, in the folder above."""

import argparse

from .faults import FAULTS
from .server import NAMESPACE, Server

parser = argparse.ArgumentParser(prog="faulty_registry", description=__doc__)
parser.add_argument("--fault", choices=FAULTS, metavar="NAME", help="what is to be wrong: " + ", ".join(FAULTS))
server = Server(parser.parse_args().fault)
print(f"base {server.base}\ntoken {server.token}\nnamespace {NAMESPACE}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass

"""Imported first by what is run by its path: makes `fakes` of the tests importable, as pytest does."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

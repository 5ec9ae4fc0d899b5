"""Probes of lesson 6."""

from exercises.kit.probes.common import arguments_after as arguments_after
from exercises.kit.probes.l4 import error_text as error_text

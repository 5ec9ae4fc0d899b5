"""Probes of lesson 6."""

from exercises.kit.probes.common import error_text as error_text

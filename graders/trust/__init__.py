"""How good are the graders? Mutants, wheats, slips, attacks and margins, measured.

It imports every room but `bench`.
"""

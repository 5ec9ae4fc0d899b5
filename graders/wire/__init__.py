"""What may pass between judge and worker? Values, records of models, and recipes for arguments, as bytes.

It imports the kit alone, and nothing of `judge/`, `lessons/` or `solutions`.
"""

"""The tiny trained models, one folder each, and the scripts that made and measured them."""

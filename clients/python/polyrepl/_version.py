# Generated from engine/__init__ by clients/python/generate.py: change that, and run this.
__version__ = "0.1.0"

"""Measurements of a Redraft server over its public API. Run: redraft bench NAME --help"""

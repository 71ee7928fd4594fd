"""Weights on disk: what a preset needs, from where, under which terms; fetched, checked, converted, freed.

Imports no torch: the page uses it.
"""

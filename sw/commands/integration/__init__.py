"""Verbs that write files for designs and programs of others."""

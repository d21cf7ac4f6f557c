"""Versions of one thing: which is the latest, what the next uid is, branch, trash, merge. Tables only, no classes."""

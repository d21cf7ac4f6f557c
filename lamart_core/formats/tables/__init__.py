"""Tables: one file format per module, over what they have in common."""

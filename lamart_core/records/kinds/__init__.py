"""What record classes are made of: the base class, what they may inherit beside it, links, riders of their saves."""

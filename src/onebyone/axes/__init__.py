"""The axis graph: a model without its layout."""

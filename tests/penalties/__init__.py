"""The penalties against their formulas, their laws and a file of wrong ones."""

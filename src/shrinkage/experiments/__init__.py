"""Trains networks to compare them: contrasts, paths, and what they are made of."""

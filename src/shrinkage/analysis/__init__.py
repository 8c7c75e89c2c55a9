"""Reads a network: measures, objective, optimality gap, certificate; polish lowers the gap."""

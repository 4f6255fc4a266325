"""Measures as pure functions: features in, numbers out."""

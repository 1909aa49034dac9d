"""Policies: Keras models that choose tokens and judge states."""

"""Policies: Keras models that choose actions and judge states, by kind."""

"""The stages of a deployment: look, plan, act."""

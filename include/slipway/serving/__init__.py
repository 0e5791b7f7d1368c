"""Programs for the serving environment: they run there, under its Python, beside its vLLM and Ray.

Nothing in Slipway imports them. Each is one file that needs nothing of Slipway and is sent to a host as it is.
"""

"""The program ``stage``: a model copied to the host, checked on the way, and moved into place when whole."""

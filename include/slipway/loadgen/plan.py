"""The plan of a cell, under the load generator's own name; it is defined where results can read it too."""

from slipway.results.plan import LoadPlan, load_load_plan, parse_load_plan

__all__ = ["LoadPlan", "load_load_plan", "parse_load_plan"]

"""From a fitted model to a decision: objective, levers, data, model."""

"""Search among many tools: a model is offered the best matches and a tool that finds others."""

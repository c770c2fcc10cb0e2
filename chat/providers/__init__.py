"""The providers of models. The first one that is configured is the default."""

from chat.providers import demo, gemini, local, openai

SPECS = (openai.SPEC, gemini.SPEC, local.SPEC, demo.SPEC)

"""The API of OpenAI for clients that speak it: the same runs, in another form."""

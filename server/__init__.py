"""The OpenAI-compatible self-refinement server. Run: redraft serve --help"""

"""The workbench's exact critic and exact judge behind an OpenAI-compatible API.

redraft train exact --port 8001 [--noise 0.2 --seed 1]
redraft serve --critic exact=http://127.0.0.1:8001/v1

requests  what a chat asks for: feedback, a refinement, both, or a comparison
opinion   the critic's answer, wrong in a given share of cases
app       the HTTP API
serve     the program
"""

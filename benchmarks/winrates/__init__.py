"""AlpacaEval 2.0: its files, a judge's annotations, raw and length-controlled win rates."""

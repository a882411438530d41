"""Requests and answers on the wire, each shape declared once."""

"""The rules of trades: values and pure functions."""

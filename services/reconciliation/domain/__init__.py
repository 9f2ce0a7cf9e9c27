"""The rules of reconciliation: values in, values out."""

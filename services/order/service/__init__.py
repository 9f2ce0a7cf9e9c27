"""What the service answers: customers in `trades`, execution workers in `execution`."""

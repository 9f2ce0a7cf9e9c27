"""The rules of execution: who leads what, whose turn it is, what is held, what is halted."""

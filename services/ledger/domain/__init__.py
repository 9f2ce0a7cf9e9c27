"""The rules of the books. Nothing here touches a clock, a database or the network.

`operations` is what may be asked, `deeds` makes what this house does out of it, `books` is what
there is and what changes, `decide` is the rule.
"""

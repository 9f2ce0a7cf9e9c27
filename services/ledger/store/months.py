"""The months that entries lie in."""

from libs.months import BY_NUMBER, MonthlyTable

ENTRIES = MonthlyTable(name="entry", column="month", key=BY_NUMBER)

"""One loop, one checkpoint format and steps; nothing here knows a net, a loss or a data set."""

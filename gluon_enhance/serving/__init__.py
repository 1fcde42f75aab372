"""``gluon-enhance serve``: jobs in a queue that outlives the process, an API, and its pages."""

"""Studies of opinion: people rate pictures without knowing what made them.

A study is a folder: ``study.toml``, which `design` reads, the pictures, which `make` puts there,
and the ratings, which `database` keeps. `results` makes numbers of them, by `statistics`.
"""

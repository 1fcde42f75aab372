"""``python -m gluon_enhance`` is ``gluon-enhance``."""

from gluon_enhance.commands import main

if __name__ == "__main__":
    main()

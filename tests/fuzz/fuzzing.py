"""Fuzz a reader of files, guided by the coverage of its code.

    python tests/fuzz/fuzzing.py TARGET [-runs=N] [-seed=N] [-max_total_time=SECONDS] [FOLDER]

A target is one of those in targets.py, or "all". The options are libFuzzer's. The first file that
fails ends the run; it is written into the folder of crashers, where the tests find it. A FOLDER
keeps what was found to reach new code, for the next run.
"""

import gc
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path

import atheris

CRASHERS = Path(__file__).with_name("crashers")
LIMITS = ["-timeout=10", "-rss_limit_mb=2500", "-len_control=0"]
LENGTHS = {"photo": 1 << 17, "xmp": 1 << 18}
"""Bytes of the longest file, where it is not `LENGTH`: what takes quadratic time shows then."""
LENGTH = 8192
CODE = ["gluon_enhance", "pickletools", "zipfile"]
SLOW_CODE = {"image": ["PIL"], "photo": ["PIL"], "keras": ["h5py"]}
"""What takes seconds to prepare for being watched."""


def main(name, *options):
    found = CRASHERS / name
    found.mkdir(parents=True, exist_ok=True)
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as corpus, tempfile.TemporaryDirectory() as work:
        os.environ["MXNET_HOME"] = work  # no cache of the user's
        # Some modules are imported where they are first used: by the seeds.
        with atheris.instrument_imports(include=[*CODE, *SLOW_CODE.get(name, ())]):
            import targets

            length = LENGTHS.get(name, LENGTH)
            for k, seed in enumerate(targets.seeds(name)):
                if len(seed) > length:  # in "all", which is for a glance at every target
                    continue
                targets.check(name, seed, Path(work), targets.IMPORTS)
                Path(corpus, str(k)).write_bytes(seed)
        targets.forbid_code()
        gc.freeze()

        def check(data):
            gc.collect()  # what is collected while a file is read would hide as much of its memory
            targets.check(name, data, Path(work))

        with targets.without_checksums():
            arguments = [
                sys.argv[0],
                *LIMITS,
                f"-max_len={length}",
                f"-artifact_prefix={found}/",
                *options,
                corpus,
            ]
            atheris.Setup(arguments, check)
            atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A model that is loaded here and used in processes started from here, in every way that Python has: a program for
test_forks.py, which prints one line of JSON. Not in pytest's own process, which could hang with a child of it."""

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.pool import Pool
from typing import Any

from fer_edge import Classifier
from fer_edge.runtime import FaceDetector, FaceSearch

THREADS = 2
"""With more than one there are threads that a forked child lacks."""

_inherited: Classifier


def answers(classifier: Classifier, photo: str) -> list[Any]:
    search = FaceSearch("detect", detector=FaceDetector(threads=THREADS))
    return [
        classifier.predict(photo).probabilities,
        [(one.probabilities, one.face.box) for one in classifier.predict_faces(photo, search=search).faces if one.face],
        os.getpid(),
    ]


def answers_of_inherited(photo: str) -> list[Any]:
    return answers(_inherited, photo)


def in_children(way: str, classifier: Classifier, photo: str) -> list[list[Any]]:
    work = [(classifier, photo)] * 2
    if way == "executor":
        with ProcessPoolExecutor(2) as executor:
            return list(executor.map(answers, *zip(*work, strict=True)))
    if way == "inherited":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map(answers_of_inherited, [photo] * 2)
            pool.close()
            pool.join()  # leaving the block alone would kill a child that hangs
            return found
    pool: Pool
    with multiprocessing.get_context(way).Pool(1) as pool:
        found = pool.starmap(answers, work)
        pool.close()
        pool.join()
        return found


def main(way: str, model: str, photo: str) -> None:
    global _inherited
    classifier = _inherited = Classifier.load(model, threads=THREADS)
    expected = answers(classifier, photo)
    found = in_children(way, classifier, photo)
    print(
        json.dumps(
            {
                "alike": all(one[:2] == expected[:2] for one in found),
                "faces": len(expected[1]),
                "elsewhere": all(one[2] != os.getpid() for one in found),
                "afterwards": answers(classifier, photo)[:2] == expected[:2],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
